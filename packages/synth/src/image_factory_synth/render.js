"use strict";
// Charts from standard input, one a line, each a JSON list of resources; to standard output, once all have
// come, a JSON list of their YAML texts. The argument is cdk8s' folder.
// Keys keep their order: CDK8S_DISABLE_SORT is set by who calls, and metadata, which cdk8s sorts all the
// same, is put back by a patch.
// V8's last compiler takes a core of its own, on which Python plans meanwhile, and repays that only after
// some ten thousand charts.
require("node:v8").setFlagsFromString("--no-opt");
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

const lines = [];
const texts = [];
let begun = ""; // a line whose end has not come yet
let isAll = false;
let isWorking = false;

// One chart between two looks at the input, so that who writes charts as they are planned never waits for long.
function work() {
  isWorking = texts.length < lines.length;
  if (isWorking) {
    texts.push(render(JSON.parse(lines[texts.length])));
    setImmediate(work);
  } else if (isAll) {
    process.stdout.write(JSON.stringify(texts));
  }
}

process.stdin.setEncoding("latin1");
process.stdin.on("data", (part) => {
  const parts = (begun + part).split("\n");
  begun = parts.pop();
  for (const line of parts) lines.push(line);
  if (!isWorking) work();
});
process.stdin.on("end", () => {
  isAll = true;
  if (!isWorking) work();
});
