"use strict";
// Charts from standard input, one a line, each a JSON list of resources; to standard output, once all have
// come, a JSON list of their YAML texts, in one line. The argument is cdk8s' folder.
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
  return chart.toJson().map(written).join("---\n");
}

// The text of a resource, as Yaml.stringify of cdk8s writes it. That asks a dozen patterns of every text again, and
// resources say the same over and over: here it is asked once for each text, and only lines are put together.
function written(resource) {
  try {
    return block(resource, "");
  } catch (reason) {
    if (reason !== OTHERWISE) throw reason;
    return Yaml.stringify(resource);
  }
}

const OTHERWISE = new Error("more than lines of single values");
// Names, paths, URLs and durations, most of what differs between resources: what no YAML takes for more than text,
// as it does e-3, a number to YAML 1.1.
const PLAIN = /^(?!e-[0-9]+$)(?:https:\/\/)?[a-z][a-z0-9]*(?:[-./][a-z0-9]+)+\/?$|^(?:[0-9]+h)?[0-9]+m[0-9]+s$/;
// Texts that are written by where they stand: several lines by their depth, what looks like a document's mark in a key.
const BY_PLACE = /\n|^(?:%|---|\.\.\.)/;
const keys = new Map();
const values = new Map();

function block(value, indent) {
  let text = "";
  if (Array.isArray(value)) {
    for (const item of value) text += `${indent}- ${inner(item, `${indent}  `)}`;
    return text;
  }
  for (const [key, item] of Object.entries(value)) {
    text += `${indent}${keyText(key)}:`;
    if (isScalar(item) || isEmpty(item)) text += ` ${scalarText(item)}\n`;
    else text += `\n${block(item, `${indent}  `)}`;
  }
  return text;
}

// What follows a dash: a single value, or a collection whose first line stands beside the dash.
function inner(item, indent) {
  return isScalar(item) || isEmpty(item) ? `${scalarText(item)}\n` : block(item, indent).slice(indent.length);
}

function isScalar(value) {
  if (value === null || typeof value === "string" || typeof value === "boolean") return true;
  if (typeof value === "number") return true;
  if (Array.isArray(value) || Object.getPrototypeOf(value ?? 0) === Object.prototype) return false;
  throw OTHERWISE;
}

function isEmpty(value) {
  return Array.isArray(value) ? value.length === 0 : Object.keys(value).length === 0;
}

function keyText(key) {
  let text = keys.get(key);
  if (text === undefined) {
    if (BY_PLACE.test(key)) throw OTHERWISE;
    const line = Yaml.stringify({ [key]: 0 });
    if (!line.endsWith(": 0\n") || line.startsWith("? ")) throw OTHERWISE;
    text = line.slice(0, -4);
    keys.set(key, text);
  }
  return text;
}

function scalarText(value) {
  // A map takes -0 for 0.
  let text = Object.is(value, -0) ? undefined : values.get(value);
  if (text === undefined) {
    if (typeof value === "string" && BY_PLACE.test(value)) throw OTHERWISE;
    text = PLAIN.test(value) ? value : Yaml.stringify({ a: value }).slice(3, -1);
    if (value === null || (typeof value !== "object" && !Object.is(value, -0))) values.set(value, text);
  }
  return text;
}

// The first resource takes the longest. Until one comes there is time.
render([{ apiVersion: "v1", kind: "List", metadata: { name: "none" }, spec: { items: ["a b", { c: 1 }] } }]);

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
    process.stdout.write(`${JSON.stringify(texts)}\n`);
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
