// The studio: all avatars, or the one whose id is in the address, kept up to date.
"use strict";

const PACE = 1000;
let timer = 0, cards = "", asked = 0;

function state(words, wrong = false) {
  at("state").textContent = words;
  at("state").classList.toggle("wrong", wrong);
}

async function request(path, options) {
  const answer = await fetch(path, options);
  const found = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(found.error), {status: answer.status});
  return found;
}

const id = () => location.hash.slice(1);
const view = new ProjectView(at("project"), act, remove);

// ---- what is shown

async function refresh() {
  clearTimeout(timer);
  const mine = ++asked, wanted = id();
  try {
    if (/^[0-9a-f]{16}$/.test(wanted)) {
      const project = await request(`/projects/${wanted}`);
      if (mine !== asked) return;
      const arrived = at("project").hidden || view.id !== wanted;
      at("shelf").hidden = true;
      at("project").hidden = false;
      view.show(project);
      document.title = `${project.name}: ${summary(project)}`;
      state(summary(project));
      if (arrived) at("project-name").focus();
    } else {
      const {projects, limits: allowed} = await request("/projects");
      if (mine !== asked) return;
      limits = allowed;
      at("project").hidden = true;
      at("shelf").hidden = false;
      document.title = "Studio";
      state("");
      list(projects);
    }
  } catch (error) {
    if (error.status === 404) location.hash = "";
    state(error.status ? error.message : "The server does not answer; trying again", true);
  }
  if (mine === asked) timer = setTimeout(refresh, document.hidden ? 5 * PACE : PACE);
}

function list(projects) {
  at("known").hidden = !projects.length;
  const known = JSON.stringify(projects.map(own => [own.id, own.name, summary(own), own.tracked[0]]));
  if (known === cards) return;
  cards = known;
  const focused = document.activeElement?.getAttribute("href");
  at("cards").replaceChildren(...projects.map(own => make("li", {}, make("a", {href: `#${own.id}`},
    own.tracked.length ? make("img", {src: picture(own, own.tracked[0]), alt: ""}) : make("span", {class: "blank"}),
    make("span", {class: "title"}, own.name), make("span", {class: "quiet"}, summary(own))))));
  if (focused?.length > 1) document.querySelector(`#cards a[href="${focused}"]`)?.focus();
}

// ---- what is asked for

async function act(what) {
  try {
    view.show(await request(`/projects/${id()}/${what}`, {method: "POST"}));
  } catch (error) {
    state(error.message, true);
  }
  refresh();
}

const ASKED = {
  clip: ["Delete the clip?", "The video, its pictures and everything that was measured in it are deleted. An avatar that speaks already stays, with the moving picture of you that it is made of."],
  all: ["Delete everything?", "The video, its pictures and the avatar are deleted. This cannot be undone."],
};

async function remove(what) {
  const dialog = at("ask");
  [at("ask-title").textContent, at("ask-words").textContent] = ASKED[what];
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise(done => dialog.addEventListener("close", done, {once: true}));
  if (dialog.returnValue !== "yes") return;
  const number = id();
  clearTimeout(timer);  // nobody asks for what is being deleted
  asked++;
  state("Deleting");
  try {
    const {deleted} = await request(`/projects/${number}${what === "clip" ? "/clip" : ""}`, {method: "DELETE"});
    const size = bytes => bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
    const words = `Deleted: ${deleted.map(own => `${own.what} (${size(own.bytes)})`).join(", ") || "nothing was there"}.`;
    if (what === "all") location.hash = "";
    await refresh();
    state(words);
    clearTimeout(timer);
    timer = setTimeout(refresh, 8 * PACE);
  } catch (error) {
    state(error.message, true);
    timer = setTimeout(refresh, PACE);
  }
}

window.addEventListener("hashchange", () => { at("main").focus(); refresh(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
refresh();
