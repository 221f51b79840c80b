// What the console counts: figures over time, in steps and by the minute.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MINUTE, STEPS, STEP_MS, Series } from "../../static/js/console/series.js";

const START = 1_000 * STEP_MS;

test("a level stands until the next one is known", () => {
  const series = new Series();
  series.set(START, 3);
  series.set(START + 1, 5); // the last of a step
  series.set(START + 3 * STEP_MS, 2);
  assert.deepEqual(series.levels(START + 4 * STEP_MS), [5, 5, 5, 2, 2]);
});

test("what happened counts for one minute", () => {
  const series = new Series();
  series.add(START, 2);
  series.add(START, 1);
  series.add(START + STEP_MS, 4);
  const line = series.perMinute(START + (MINUTE + 2) * STEP_MS);
  assert.deepEqual(line.slice(0, 2), [3, 7]);
  assert.equal(line[MINUTE - 1], 7);
  assert.equal(line[MINUTE], 4);
  assert.equal(line[MINUTE + 1], 0);
});

test("half an hour is kept and no more, however long the show", () => {
  const series = new Series();
  for (let step = 0; step < 10 * STEPS; step += 1) series.add(START + step * STEP_MS, 1);
  const now = START + (10 * STEPS - 1) * STEP_MS;
  assert.ok(series.steps.size <= STEPS + 1);
  assert.equal(series.perMinute(now).length, STEPS);
  assert.equal(series.perMinute(now).pop(), MINUTE);
  assert.equal(series.levels(now + 100 * STEPS * STEP_MS).length, STEPS);
});

test("nothing known is a line of one point", () => {
  assert.deepEqual(new Series().levels(START), [0]);
});
