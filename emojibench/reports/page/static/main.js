"use strict";
/* Which view is shown, and where the reader is. */

EB.crumbs = () => {
  const { h, state } = EB;
  const track = EB.track();
  const parts = [h("a", { href: EB.hash({ view: "board" }) }, `${track.dataset.name}, version ${track.dataset.version}`)];
  if (state.view === "campaign") parts.push(h("span", {}, EB.index.campaigns[Number(state.campaign)]?.title || "campaign"));
  if (state.view === "clips" || state.view === "clip") {
    const number = EB.runNumber(track, state.run);
    const run = track.runs[number];
    parts.push(h("a", { href: EB.hash({ view: "clips", clip: "" }) }, `${EB.name(EB.label(track, number))}, ${run.split}`));
  }
  if (state.view === "clip") parts.push(h("span", {}, state.clip));
  parts.at(-1).setAttribute("aria-current", "page");
  document.getElementById("crumbs").replaceChildren(h("ol", {}, parts.map((part) => h("li", {}, part))));
};

/* Where a link leads to something that this page does not have, say so instead of showing another. */
EB.unknown = () => {
  const { state } = EB;
  const track = EB.index.tracks.find((one) => one.name === state.track);
  if (state.track && !track) throw new Error(`This page has no track ${state.track}.`);
  const known = EB.track().runs.some((_, number) => EB.runName(EB.track(), number) === state.run);
  if ((state.view === "clips" || state.view === "clip") && !known) throw new Error(`This page has no run ${state.run || "of this name"}.`);
  return null;
};

EB.render = async () => {
  const before = EB.state;
  EB.state = EB.read();
  const view = EB.views[EB.state.view] || EB.views.board;
  EB.leave?.();
  EB.leave = null;
  EB.crumbs();
  const main = document.getElementById("main");
  const turn = (EB.turn = (EB.turn || 0) + 1);
  let shown;
  try {
    shown = EB.unknown() || await view();
  } catch (error) {
    shown = { content: [EB.h("h1", {}, "Not found"), EB.notice(error.message)] };
  }
  if (turn !== EB.turn) return; // another view was asked for meanwhile
  // A choice keeps the keyboard where it was; another view starts at its top.
  const field = document.activeElement?.dataset?.field;
  main.replaceChildren(...EB.present([shown.content]));
  if (field) main.querySelector(`[data-field="${CSS.escape(field)}"]`)?.focus({ preventScroll: true });
  shown.open?.();
  EB.leave = shown.close;
  if (before && before.view + before.clip !== EB.state.view + EB.state.clip) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  document.title = [EB.state.view === "clip" && EB.state.clip, "EmojiBench++ leaderboard"].filter(Boolean).join(" · ");
};

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});

if (EB.index) {
  addEventListener("hashchange", EB.render);
  EB.render();
} else {
  document.getElementById("main").append(
    EB.notice("data/index.js is missing or unfinished; make the page again with emojibench report --html"));
}
