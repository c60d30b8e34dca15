// Blocking, so it runs before anything is shown: content for browsers without scripts is then never visible.
"use strict";

document.documentElement.classList.add("scripts");
