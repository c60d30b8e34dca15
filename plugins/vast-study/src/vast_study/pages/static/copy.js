// Buttons that copy the text of another element. Without scripts they stay hidden; the text can be selected by hand.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    const state = document.getElementById("copied");
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      state.textContent = "Copied.";
    } catch {
      // no clipboard without https: mark the text instead
      getSelection().selectAllChildren(source);
      state.textContent = "The text is marked: copy it with Ctrl+C or by a long press.";
    }
  });
}
