// A formula wider than the page scrolls; the keyboard must be able to reach it.
(() => {
  const reach = () => {
    for (const box of document.querySelectorAll('mjx-container[display="true"]')) {
      const wide = box.scrollWidth > box.clientWidth;
      wide ? box.setAttribute("tabindex", "0") : box.removeAttribute("tabindex");
    }
  };
  addEventListener("load", async () => {
    await window.MathJax?.startup?.promise;
    reach();
    addEventListener("resize", reach);
  });
})();
