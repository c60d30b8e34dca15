// Blocks, and so runs before anything is shown: what is meant for browsers without scripts is then never seen.
"use strict";

document.documentElement.classList.add("scripts");
