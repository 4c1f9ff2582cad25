// logic.test.ts - ports, search, fields, steps, and the forms of a result.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeType } from "../../web/src/api";
import { findTypes } from "../../web/src/canvas/fuzzy";
import { fieldKind, limits, parseNumber, randomSeed, stepped } from "../../web/src/fields/value";
import { parseJson, writeJson } from "../../web/src/json";
import { formsOf } from "../../web/src/panels/media";
import { portFits } from "../../web/src/ports";
import { cardsOf, cardTitle } from "../../web/src/scopes/steps";

const type = (name: string, title: string, category = "x"): NodeType => ({
  name,
  title,
  category,
  kind: "primitive",
  version: "1",
  inputs: [],
  outputs: [],
});

test("ports fit as in the engine", () => {
  assert.ok(portFits("INT", "FLOAT") && portFits("STRING", "COMBO") && portFits("*", "VAE") && portFits("VAE", "*"));
  assert.ok(portFits("IMAGE", "IMAGE,VIDEO") && portFits("INT,FLOAT", "INT"));
  assert.ok(!portFits("FLOAT", "INT") && !portFits("IMAGE", "LATENT") && !portFits("COMBO", "STRING"));
});

test("search: words before letters, ours before others", () => {
  const types = [
    type("vae_decode", "VAE decode"),
    type("VAEDecode", "VAE Decode", "comfyui/latent"),
    type("video", "Save video"),
  ];
  assert.deepEqual(
    findTypes(types, "vae").map((found) => found.name),
    ["vae_decode", "VAEDecode"],
  );
  assert.deepEqual(
    findTypes(types, "svid").map((found) => found.name),
    ["video"],
  );
  assert.equal(findTypes(types, "zzz").length, 0);
  assert.equal(findTypes(types, "").length, 3);
});

test("numbers are checked with the reason", () => {
  const steps = { name: "steps", type: "INT", min: 1, max: 1000, unit: "steps" };
  assert.equal(parseNumber("20", steps), 20);
  assert.equal(parseNumber("0,5", { name: "cfg", type: "FLOAT" }), 0.5);
  assert.deepEqual(parseNumber("2.5", steps), { problem: "steps is a whole number" });
  assert.deepEqual(parseNumber("0", steps), { problem: "steps is 1 to 1000" });
  assert.deepEqual(parseNumber("abc", steps), { problem: "steps is a number" });
  assert.equal(limits(steps), "1 to 1000 steps");
});

test("arrow keys stay within the limits and do not gather rounding errors", () => {
  const share = { name: "share", type: "FLOAT", min: 0, max: 1 };
  assert.equal(stepped(0.15, share, 1, false), 0.2);
  assert.equal(stepped(0.9, share, 1, true), 1);
  assert.equal(stepped(1, { name: "n", type: "INT", min: 1 }, -1, false), 1);
});

test("a random seed is a whole number that JSON keeps", () => {
  for (let i = 0; i < 100; i++) {
    const seed = randomSeed({ name: "seed", type: "INT", min: 5, max: 9 });
    assert.ok(Number.isInteger(seed) && seed >= 5 && seed <= 9);
  }
  assert.ok(Number.isSafeInteger(randomSeed({ name: "seed", type: "INT" })));
});

test("a field is what its type and choices say", () => {
  assert.equal(fieldKind({ name: "a", type: "COMBO", choices: ["x"] }), "choice");
  assert.equal(fieldKind({ name: "a", type: "STRING", multiline: true }), "text");
  assert.equal(fieldKind({ name: "a", type: "STRING", file: true }), "file");
});

test("cards: one a step, in order, columns along the links", () => {
  const node = (...sources: string[]) => ({
    class_type: "n",
    inputs: Object.fromEntries(sources.map((id, i) => [`i${i}`, [id, 0] as [string, number]])),
  });
  const cards = cardsOf(
    {
      model: node(),
      "sample/sigmas": node("model"),
      "sample/step_10/cond": node("sample/sigmas"),
      "sample/step_02/cond": node("sample/sigmas"),
      "sample/step_02/uncond": node("sample/sigmas"),
      "sample/step_02/guidance": node("sample/step_02/cond", "sample/step_02/uncond"),
    },
    "sample",
  );
  assert.deepEqual(
    cards.map((card) => card.name),
    ["", "step_02", "step_10"],
  );
  assert.deepEqual(
    cards[1]?.nodes.map(({ name, column, row }) => [name, column, row]),
    [
      ["cond", 0, 0],
      ["uncond", 0, 1],
      ["guidance", 1, 0],
    ],
  );
  assert.equal(cardTitle("step_02"), "step 2");
});

test("a stored video has other forms, a picture or a file that is not stored has none", () => {
  const file = { node: "o", filename: "a/my.clip.mp4", subfolder: "", type: "output", kind: "video", url: "/view" };
  const forms = formsOf({ ...file, key: "k1" });
  assert.deepEqual(
    forms.map(({ name, filename }) => [name, filename]),
    [
      ["GIF", "a/my.clip.gif"],
      ["contact sheet", "a/my.clip_sheet.png"],
    ],
  );
  assert.match(forms[0].url, /results\/k1\/preview\?frame=-2.*format=gif/);
  assert.match(forms[1].url, /columns=4&rows=3/);
  assert.equal(formsOf({ ...file, filename: "x.webp", kind: "animation", key: "k1" }).length, 2);
  assert.deepEqual(formsOf(file), []);
  assert.deepEqual(formsOf({ ...file, filename: "x.png", kind: "image", key: "k1" }), []);
});

test("whole numbers beyond 2^53 are read, stepped and written as they are", () => {
  const text = '{"a":9007199254740993,"b":[-9223372036854775808,1.5e300,0.1234567890123456789],"c":"\\"9007199254740993","d":12}';
  const value = parseJson(text) as { a: bigint; b: (bigint | number)[]; c: string; d: number };
  assert.deepEqual(value, { a: 9007199254740993n, b: [-(2n ** 63n), 1.5e300, 0.12345678901234568], c: '"9007199254740993', d: 12 });
  assert.equal(writeJson(value), text.replace("0.1234567890123456789", "0.12345678901234568").replace("1.5e300", "1.5e+300"));
  const seed = { name: "seed", type: "INT", min: 0 };
  assert.equal(parseNumber("9223372036854775807", seed), 2n ** 63n - 1n);
  assert.deepEqual(parseNumber("9223372036854775808", seed), { problem: "seed is 0 to 9223372036854775807" });
  assert.equal(stepped(2 ** 53 - 1, seed, 1, false), 2n ** 53n);
  assert.equal(stepped(2n ** 53n, seed, -1, false), 2 ** 53 - 1);
  assert.equal(stepped(2n ** 63n - 1n, seed, 1, true), 2n ** 63n - 1n);
});
