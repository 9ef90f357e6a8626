// Live figures of the static page: controls swap frames that were drawn in advance.
(() => {
  const unpack = async (script) => {
    const bytes = Uint8Array.from(atob(script.textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream();
    const plain = stream.pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(plain).text());
  };

  const start = (figure) => {
    const script = figure.querySelector('script[type="application/gzip+base64"]');
    const picture = figure.querySelector("svg");
    const controls = [...figure.querySelectorAll(".dl-controls input, .dl-controls select")];
    if (figure.dataset.live || !script || !picture || !controls.length) return;
    figure.dataset.live = "ready";
    const still = figure.querySelector(".dl-still");
    const sizes = controls.map((c) => (c.options ? c.options.length : Number(c.max) + 1));
    const firsts = controls.map((c) => c.value);
    let frames;

    const show = async (values) => {
      try {
        frames ??= unpack(script);
        const { lines, frames: pictures, alts } = await frames;
        const index = values.reduce((i, v, k) => i * sizes[k] + Number(v), 0);
        picture.innerHTML = pictures[index].map((line) => lines[line]).join("\n");
        picture.setAttribute("aria-label", alts[index]);
      } catch {
        still.textContent = "This browser cannot unpack the frames of this figure.";
        still.classList.add("dl-problem");
      }
    };
    const now = () => controls.map((c) => c.value);
    for (const control of controls) {
      control.addEventListener("input", () => {
        if (control.dataset.texts) {
          const text = control.dataset.texts.split("|")[control.value];
          control.setAttribute("aria-valuetext", text);
          control.nextElementSibling.textContent = text;
        }
        show(now());
      });
    }
    // A browser may keep the controls of the last visit; the picture follows them.
    controls.forEach((c, k) => {
      if (c.value !== firsts[k]) c.dispatchEvent(new Event("input"));
    });
    addEventListener("beforeprint", () => frames && show(firsts));
    addEventListener("afterprint", () => frames && show(now()));
    figure.querySelector(".dl-controls").hidden = false;
  };

  const startAll = () => document.querySelectorAll("figure.dl-live").forEach(start);
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", startAll);
  else startAll();
})();
