"use strict";
// Charts from standard input, one a line, each a JSON list of resources; to standard output a JSON list of
// their YAML texts. The argument is cdk8s' folder.
// Keys keep their order: CDK8S_DISABLE_SORT is set by who calls, and metadata, which cdk8s sorts all the
// same, is put back by a patch.
const fs = require("node:fs");
const { ApiObject, App, Chart, JsonPatch, Yaml } = require(process.argv[2]);

function render(resources) {
  // An App for each chart: synthesising one chart prepares all of its App.
  const chart = new Chart(new App(), "chart");
  for (const [number, resource] of resources.entries()) {
    const object = new ApiObject(chart, `${number}`, resource);
    object.addJsonPatch(JsonPatch.replace("/metadata", resource.metadata));
  }
  return Yaml.stringify(...chart.toJson());
}

const lines = fs.readFileSync(0, "utf8").split("\n").filter((line) => line !== "");
process.stdout.write(JSON.stringify(lines.map((line) => render(JSON.parse(line)))));
