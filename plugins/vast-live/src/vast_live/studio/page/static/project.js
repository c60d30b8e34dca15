// One avatar on the page: its clip and what is wrong with it, the work, and its speech.
"use strict";

const SIGNS = {good: "M5 13l4 4L19 7", weak: "M12 4l9 16H3zM12 10v4M12 17v.01", stop: "M6 6l12 12M18 6L6 18"};
const LEVELS = {good: "Good:", weak: "Could be better:", stop: "Not possible:"};
const DOING = {
  prepare: "Following your face through the clip", style: "Learning how your lips follow your voice",
  renderer: "Learning how you look", synthesize: "Speaking for the first time",
};

function make(name, attributes = {}, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made[key] = value;
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...inside.filter(own => own !== null));
  return made;
}

function sign(level) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SIGNS[level]);
  svg.append(path);
  return svg;
}

const picture = (project, name) => `/projects/${project.id}/pictures/${name}`;
const active = work => work?.state === "waiting" || work?.state === "running";

// What is going on, in a few words.
function summary(project) {
  const {look, quick, train} = project.works;
  const making = [quick, train].find(active);
  if (active(look)) return "Looking at the clip";
  if (making) return making.state === "running" ? "Being made" : "Waits for its turn";
  if (project.speaks) return "Speaks";
  if (look?.state === "failed" || quick?.state === "failed" || train?.state === "failed") return "Something went wrong";
  return project.usable ? "Ready to be made" : "This clip cannot be used";
}

class ProjectView {
  // `act(what)` sends a wish to the server; `remove(what)` asks, then deletes.
  constructor(place, act, remove) {
    this.place = place;
    this.act = act;
    this.remove = remove;
    this.shown = {};
  }

  // Rebuilds only the parts that have changed, so that the focus and videos stay.
  show(project) {
    if (this.id !== project.id) {
      this.id = project.id;
      this.shown = {};
      this.parts = Object.fromEntries(["head", "clip", "making", "speech", "removal"].map(name => [name, make("section")]));
      this.place.replaceChildren(...Object.values(this.parts));
    }
    const {works: {look, quick, train}} = project;
    this.part("head", [project.name], () => this.head(project));
    this.part("clip", [look, project.findings, project.tracked, project.clip], () => this.clip(project));
    this.part("making", [look.state, quick, train, project.frames, project.usable, project.clip, project.speaks], () => this.making(project));
    this.part("speech", [project.speaks, quick?.asked, train?.state], () => this.speech(project));
    this.part("removal", [project.clip], () => this.removal(project));
  }

  part(name, facts, build) {
    const known = JSON.stringify(facts);
    if (this.shown[name] === known) return;
    this.shown[name] = known;
    const focused = this.parts[name].contains(document.activeElement) ? document.activeElement.id : null;
    const built = build();
    this.parts[name].hidden = !built;
    if (built) this.parts[name].replaceChildren(...built);
    if (focused) document.getElementById(focused)?.focus();
  }

  head(project) {
    this.parts.head.className = "";
    return [make("p", {}, make("a", {href: "#"}, "All avatars")), make("h1", {id: "project-name", tabindex: "-1"}, project.name)];
  }

  step(name, number, title) {
    this.parts[name].className = "card step";
    this.parts[name].setAttribute("aria-labelledby", `${name}-title`);
    return make("h2", {id: `${name}-title`, "data-number": number}, title);
  }

  clip(project) {
    const {look} = project.works;
    const inside = [this.step("clip", 1, "Your clip")];
    if (look.state === "running") inside.push(make("p", {}, "Looking at it: is your face found, is there light, do voice and lips fit?"), this.bar("The clip is looked at", look.progress));
    if (look.state === "waiting") inside.push(make("p", {}, "Another clip is looked at first."));
    if (look.state === "failed") {
      inside.push(make("p", {class: "refused"}, `This clip cannot be looked at: ${look.message}`));
      if (project.clip) inside.push(make("button", {id: "look-again", type: "button", class: "button", onclick: () => this.act("make/look")}, "Try again"));
    }
    if (project.tracked.length) {
      inside.push(make("p", {class: "quiet"}, "What is seen of your face:"));
      const shots = project.tracked.map((name, n) => make("li", {}, make("img", {src: picture(project, name), alt: `Moment ${n + 1} of the clip with the face that is found in it`})));
      inside.push(make("ul", {class: "strip"}, ...shots));
    }
    if (project.findings.length) {
      const rows = project.findings.map(({level, title, advice}) => make("li", {class: level}, sign(level),
        make("strong", {}, make("span", {class: "hidden-text"}, `${LEVELS[level]} `), title), advice ? make("p", {}, advice) : null));
      inside.push(make("ul", {class: "findings"}, ...rows));
    }
    if (!project.clip) inside.push(make("p", {class: "quiet"}, "The clip was deleted."));
    return inside;
  }

  making(project) {
    const {look, quick, train} = project.works;
    if (active(look) || (!project.usable && !project.speaks)) return null;
    const inside = [this.step("making", 2, "Make the avatar")];
    const [kind, work] = active(train) ? ["train", train] : ["quick", quick];
    if (active(work)) {
      const {progress: far} = work;
      const words = work.state === "waiting" ? `Waits for its turn: ${work.ahead} before it.`
        : `${DOING[far?.stage] ?? "Beginning"}${far?.step ? `: ${far.step} of ${far.steps}` : ""}.`;
      inside.push(make("p", {}, words), this.bar("The avatar is made", far));
      inside.push(make("div", {class: "row"}, make("button", {id: "stop", type: "button", class: "button", onclick: () => this.act("stop")}, "Stop")));
    } else if (project.clip) {
      for (const own of [quick, train]) if (own?.state === "failed") inside.push(make("p", {class: "refused"}, `It could not be made: ${own.message}`));
      inside.push(this.choices(quick, train));
    }
    if (project.frames.length) {
      const caption = name => {
        const [, step] = /renderer-(\w+)\.jpg/.exec(name);
        return step === "end" ? "As it is now" : `After ${Number(step)} steps`;
      };
      const frames = project.frames.map(name => make("li", {}, make("figure", {},
        make("img", {src: picture(project, name), alt: "Three moments of the avatar"}), make("figcaption", {}, `${name.startsWith("train") ? "Trained. " : ""}${caption(name)}`))));
      inside.push(make("ul", {class: "strip wide"}, ...frames));
    }
    return inside;
  }

  choices(quick, train) {
    const choice = (kind, title, words, main) => make("div", {},
      make("button", {id: `make-${kind}`, type: "button", class: `button${main ? " main" : ""}`, onclick: () => this.act(`make/${kind}`)}, title),
      make("p", {class: "quiet"}, words));
    const again = work => work?.state === "stopped" || work?.state === "failed";
    const rows = [];
    if (quick?.state !== "done") rows.push(choice("quick", again(quick) ? "Go on" : "Make the avatar", "It speaks in a minute or two.", true));
    if (train?.state !== "done") rows.push(choice("train", again(train) ? "Go on with the training" : "Better: train it", "Learns your lips and your mouth. Half an hour or more; you can leave this page.", quick?.state === "done"));
    return rows.length ? make("div", {class: "choices"}, ...rows) : make("p", {class: "quiet"}, "It is made, and trained.");
  }

  bar(label, far) {
    const bar = make("progress", {max: 1, "aria-label": label});
    if (far?.steps && far.stages) bar.value = (far.number + far.step / far.steps) / far.stages;
    else if (far?.steps) bar.value = far.step / far.steps;
    else if (far?.stages && far.number) bar.value = far.number / far.stages;
    return bar;
  }

  speech(project) {
    if (!project.speaks) return null;
    const film = make("video", {class: "clip", controls: true, playsinline: true, preload: "auto", "aria-label": `${project.name} speaks`,
      src: `/projects/${project.id}/sample/${project.speaks}`});
    return [this.step("speech", 3, "Let it speak"), make("div", {class: "speaking"}, film, make("div", {},
      make("p", {}, "Type something, open a sound, or talk into the microphone: it says the same. Give it the style of another clip, or move the sliders."),
      make("a", {class: "button main", href: `/speak/${project.id}/`}, `Talk with ${project.name}`),
      make("p", {class: "quiet"}, "Opening it takes some seconds.")))];
  }

  removal(project) {
    this.parts.removal.className = "card";
    const button = (what, words) => make("button", {id: `remove-${what}`, type: "button", class: "button danger", onclick: () => this.remove(what)}, words);
    return [make("h2", {}, "Delete"), make("div", {class: "remove"}, project.clip ? button("clip", "Delete the clip") : null, button("all", "Delete everything"))];
  }
}
