"use strict";
// Charts from standard input, one a line, each a JSON list of resources; to standard output a JSON list of
// their YAML texts. The argument is cdk8s' folder. Keys keep their order: CDK8S_DISABLE_SORT is set by who calls.
const fs = require("node:fs");
const { Yaml } = require(process.argv[2]);

const lines = fs.readFileSync(0, "utf8").split("\n").filter((line) => line !== "");
const texts = lines.map((line) => Yaml.stringify(...JSON.parse(line)));
process.stdout.write(JSON.stringify(texts));
