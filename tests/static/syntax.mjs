// Reads every module of the pages with the TypeScript parser and prints what the floor browsers
// (Chrome 90, Safari 15.4) do not know, or what the pages must not do. One finding a line.
import { readFileSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";

const ROOT = new URL("../../static/", import.meta.url).pathname;
/** Newer than the floor, by member name. `lib` of jsconfig.json catches what is newer than ES2021. */
const TOO_NEW = new Set(["structuredClone", "randomUUID", "showPopover", "hidePopover", "togglePopover", "requestSubmit", "findLast", "findLastIndex", "toSorted", "toReversed", "hasOwn", "groupBy", "startViewTransition", "scheduler", "checkVisibility"]);
const FORBIDDEN = new Set(["innerHTML", "outerHTML", "insertAdjacentHTML", "setHTMLUnsafe", "createContextualFragment", "document.write", "eval", "cssText", "DOMParser"]);
const findings = [];

function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "vendor" ? [] : files(path);
    return entry.name.endsWith(".js") ? [path] : [];
  });
}

function look(node, file) {
  const say = (what) => {
    const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
    findings.push(`${relative(ROOT, file.fileName)}:${line + 1}: ${what}`);
  };
  if (ts.isClassStaticBlockDeclaration(node)) say("static block (Chrome 94)");
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.InKeyword && ts.isPrivateIdentifier(node.left)) say("#x in y (Chrome 91)");
  if (ts.isRegularExpressionLiteral(node) && /\(\?<[=!]|\/[a-z]*[dv][a-z]*$/.test(node.text)) say("regular expression (Safari 16.4)");
  if (ts.isAwaitExpression(node) && ts.findAncestor(node, ts.isFunctionLike) === undefined) say("top-level await");
  if (ts.isImportDeclaration(node) && !/^\.{1,2}\//.test(node.moduleSpecifier.text)) say("bare import: there is no import map");
  if (ts.isImportDeclaration(node) && node.attributes) say("import attributes");
  if (ts.isIdentifier(node) && TOO_NEW.has(node.text)) say(`${node.text} is newer than the floor`);
  if (ts.isIdentifier(node) && FORBIDDEN.has(node.text)) say(`${node.text} is forbidden: text nodes only`);
  if (ts.isPropertyAccessExpression(node) && node.name.text === "timeout" && node.expression.getText(file) === "AbortSignal") say("AbortSignal.timeout (Chrome 103)");
  if (ts.isPropertyAccessExpression(node) && node.name.text === "write" && node.expression.getText(file) === "document") say("document.write");
  if (ts.isNewExpression(node) && node.expression.getText(file) === "Function") say("new Function");
  if (ts.isStringLiteral(node) && node.text === "style" && ts.isCallExpression(node.parent) && /setAttribute$/.test(node.parent.expression.getText(file))) say("style attribute");
  ts.forEachChild(node, (child) => look(child, file));
}

for (const path of files(join(ROOT, "js"))) {
  const file = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.ESNext, true, ts.ScriptKind.JS);
  look(file, file);
}
console.log(findings.join("\n"));
