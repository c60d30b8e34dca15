// One clip: questions open after a full playback that the server has acknowledged; each score is sent at once, kept in
// this browser until the server has acknowledged it, and only then shown as saved.
"use strict";

const form = document.getElementById("scores");
const video = document.querySelector("video");
const play = document.getElementById("play");
const hint = document.getElementById("hint");
const state = document.getElementById("state");
const next = document.getElementById("next");
const playhead = document.getElementById("playhead");
const questions = [...form.querySelectorAll("fieldset.question")];
const shelf = `vast-study ${form.dataset.task}`;
const pending = new Map(); // question -> score without acknowledgement so far
let open = !questions[0].disabled;
let reporting = false;
let sending = false;
let leaving = false;

const nameOf = (question) => question.dataset.question;
const titleOf = (question) => question.querySelector(".title").textContent;
const chosen = (question) => question.querySelector("input:checked");
const version = (question) => question.querySelector("input[type=hidden]");
const missing = () => questions.find((question) => !chosen(question));

function say(text, failed = false) {
  state.textContent = text;
  state.classList.toggle("failed", failed);
}

function mark(question, text, failed = false) {
  const place = question.querySelector(".mark");
  place.textContent = text;
  place.classList.toggle("failed", failed);
}

function enter(question) {
  (chosen(question) ?? question.querySelector("input[type=radio]")).focus();
}

/* ---- the server ---- */

async function post(address, fields) {
  const body = new URLSearchParams({ csrf: form.elements.csrf.value, ...fields });
  const reply = await fetch(address, {
    method: "POST", body, headers: { Accept: "application/json" }, credentials: "same-origin", redirect: "error",
    signal: AbortSignal.timeout(15000),
  });
  if (reply.status === 429 || reply.status >= 500) throw new Error(`the server answered ${reply.status}`);
  return { ok: reply.ok, status: reply.status, ...(await reply.json()) };
}

function pause(attempt) {
  // waits longer each time, but at most until the connection is back
  return new Promise((resume) => {
    const done = () => { clearTimeout(timer); removeEventListener("online", done); resume(); };
    const timer = setTimeout(done, Math.min(15000, 500 * 2 ** attempt));
    addEventListener("online", done);
  });
}

/* ---- playback ---- */

function watched() {
  let seconds = 0;
  for (let i = 0; i < video.played.length; i++) seconds += video.played.end(i) - video.played.start(i);
  return seconds >= 0.95 * video.duration;
}

function showPlay() {
  const name = !video.paused && !video.ended ? "Pause" : video.ended || (open && video.currentTime === 0) ? "Play again" : "Play";
  play.querySelector("span").textContent = name;
  play.querySelector("path").setAttribute("d", name === "Pause" ? "M3 2h4v12H3zM9 2h4v12H9z" : "M3.5 1.5v13l11-6.5z");
}

async function toggle() {
  if (!video.paused && !video.ended) return video.pause();
  try {
    await video.play();
  } catch {
    hint.textContent = "The video does not start. Please check your connection and press the button again.";
    if (video.error) video.load();
  }
}

async function unlock() {
  if (open || reporting) return;
  reporting = true;
  for (let attempt = 0; !open; attempt++) {
    try {
      const reply = await post(form.dataset.played, {});
      if (!reply.ok) {
        say(reply.error, true);
        break;
      }
      open = true;
    } catch {
      say("No connection. We keep trying; please leave this page open.", true);
      await pause(attempt);
    }
  }
  reporting = false;
  if (!open) return;
  for (const question of questions) question.disabled = false;
  hint.textContent = "You may watch it again.";
  say("The questions are open.");
  showPlay();
  enter(missing() ?? questions[0]);
}

video.controls = false;
video.addEventListener("ratechange", () => { if (!open && video.playbackRate !== 1) video.playbackRate = 1; });
for (const event of ["play", "pause", "ended", "loadedmetadata"]) video.addEventListener(event, showPlay);
video.addEventListener("timeupdate", () => { playhead.value = video.duration ? Math.round((1000 * video.currentTime) / video.duration) : 0; });
video.addEventListener("error", () => { hint.textContent = "The video could not be loaded. Please check your connection and press the button."; });
video.addEventListener("click", toggle);
play.addEventListener("click", toggle);
video.addEventListener("ended", () => {
  if (open) return;
  if (watched()) unlock();
  else hint.textContent = "Please watch it from the beginning to its end.";
});

/* ---- scores ---- */

function keep() {
  try {
    if (!pending.size) return localStorage.removeItem(shelf);
    const kept = [...pending].map(([question, score]) => [nameOf(question), score, version(question).value]);
    localStorage.setItem(shelf, JSON.stringify(kept));
  } catch {
    // a browser without storage keeps them in this page only
  }
}

async function send() {
  if (sending) return;
  sending = true;
  for (let attempt = 0; pending.size; ) {
    const [question, score] = pending.entries().next().value;
    const name = nameOf(question);
    try {
      const reply = await post(form.action, { [`score-${name}`]: score, [`version-${name}`]: version(question).value });
      const vote = reply.votes?.[name];
      const behind = vote && String(vote.version) !== version(question).value;
      if (vote) version(question).value = vote.version;
      if (reply.ok || (vote && vote.score === Number(score))) {
        if (pending.get(question) === score) {
          pending.delete(question);
          mark(question, "Saved");
          say(`${titleOf(question)}: ${score}, saved.`);
        }
      } else if (!(reply.status === 409 && behind)) {
        // refused permanently: show the reason and the scores on the server
        pending.delete(question);
        mark(question, "Not saved", true);
        say(reply.error ?? "This score was refused. Please load the page again.", true);
        leaving = false;
      }
      attempt = 0;
    } catch {
      mark(question, "Not saved yet", true);
      say("No connection. Your scores are kept and sent again; please leave this page open.", true);
      await pause(attempt++);
    }
    keep();
  }
  sending = false;
  if (leaving) go();
}

function score(question) {
  pending.delete(question);
  pending.set(question, chosen(question).value);
  mark(question, "Saving…");
  keep();
  send();
}

function go() {
  leaving = true;
  form.submit();
}

for (const question of questions) question.addEventListener("change", () => score(question));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const empty = missing();
  if (!open) {
    say("Please watch the clip to its end first.", true);
    play.focus();
  } else if (empty) {
    say(`Please answer: ${titleOf(empty)}.`, true);
    enter(empty);
  } else if (pending.size) {
    leaving = true;
    say("Saving your scores…");
    send();
  } else if (!leaving) {
    go();
  }
});
form.noValidate = true;

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.repeat) return;
  if (event.key === "Enter" && (event.target === document.body || event.target.type === "radio")) {
    event.preventDefault();
    return form.requestSubmit();
  }
  if (!questions[0].querySelector(`input[type=radio][value="${CSS.escape(event.key)}"]`)) return;
  if (!open) return say("Please watch the clip to its end first.", true);
  const question = event.target.closest?.("fieldset.question") ?? missing();
  if (!question) return say("All questions are answered. Press Enter to go on.");
  question.querySelector(`input[value="${event.key}"]`).checked = true;
  score(question);
  const following = questions[questions.indexOf(question) + 1];
  if (following) enter(following);
  else (missing() ? enter(missing()) : next.focus());
});

addEventListener("beforeunload", (event) => { if (pending.size && !leaving) event.preventDefault(); });
addEventListener("online", send);

// scores that an earlier visit could not send, unless another device has changed them since
try {
  for (const [name, value, known] of JSON.parse(localStorage.getItem(shelf) ?? "[]")) {
    const question = questions.find((each) => nameOf(each) === name);
    if (!open || !question || version(question).value !== known) continue;
    question.querySelector(`input[type=radio][value="${value}"]`).checked = true;
    pending.set(question, value);
    mark(question, "Saving…");
  }
} catch {
  // no storage, or not ours
}
keep();
showPlay();
send();
