"use strict";
(() => {
  const every = 10000;
  const refresh = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(location.pathname, { cache: "no-store" });
        if (!answer.ok) throw new Error(answer.status);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const main = page.querySelector("main");
        if (!main) throw new Error("no page");
        document.querySelector("main").replaceWith(main);
        document.title = page.title;
      } catch {
        const note = document.getElementById("stale");
        if (note) note.hidden = false;
      }
    }
    setTimeout(refresh, every);
  };
  setTimeout(refresh, every);
})();
