"use strict";
/* Panels: canvases that show one frame of a sheet of tiles each, all of them the same frame at the same moment. */

/* The sheets of one video: pictures that are loaded once, and where in them a frame is. */
EB.Sheets = class {
  constructor(about) {
    this.about = about;
    this.pictures = [];
    this.failed = "";
    this.ready = Promise.all(about.files.map(async (file, number) => {
      const picture = new Image();
      picture.decoding = "async";
      picture.src = `media/${file}`;
      try {
        await picture.decode();
        this.pictures[number] = picture;
      } catch {
        this.failed = `media/${file} is missing or damaged`;
      }
    }));
  }

  /* Draw frame `t` over the whole of a canvas; false where its sheet is not there yet. */
  draw(context, t) {
    const { side, columns, capacity, count } = this.about;
    const frame = Math.min(t, count - 1);
    const picture = this.pictures[Math.floor(frame / capacity)];
    if (!picture) return false;
    const tile = frame % capacity;
    const [x, y] = [(tile % columns) * side, Math.floor(tile / columns) * side];
    context.drawImage(picture, x, y, side, side, 0, 0, context.canvas.width, context.canvas.height);
    return true;
  }
};

/* A titled canvas. `about` are its sheets, or null with the `reason` why there are none. */
EB.panel = (title, about, reason, kind = "") => {
  const { h } = EB;
  if (!about) return { element: h("figure", { class: `panel ${kind}` }, h("div", { class: "screen blank" }, h("p", {}, reason || "not available")), h("figcaption", { title }, title)), draw: () => {}, ready: Promise.resolve() };
  const sheets = new EB.Sheets(about);
  const canvas = h("canvas", { width: about.side, height: about.side, role: "img", "aria-label": title });
  const screen = h("div", { class: "screen", "aria-busy": "true" }, canvas);
  const context = canvas.getContext("2d");
  const ready = sheets.ready.then(() => {
    screen.removeAttribute("aria-busy");
    if (sheets.failed) screen.replaceChildren(h("p", {}, sheets.failed));
  });
  const draw = (t, overlay) => {
    context.globalCompositeOperation = "source-over";
    if (!sheets.draw(context, t)) return;
    canvas.dataset.frame = t;
    if (overlay) {
      context.globalCompositeOperation = "lighten"; // lines on black: what is brighter than the face shows
      overlay.draw(context, t);
    }
  };
  return { element: h("figure", { class: `panel ${kind}` }, screen, h("figcaption", { title }, title)), draw, ready, sheets };
};
