// The form of a new avatar: a file or a recording, a name, an agreement, and the upload.
"use strict";

const at = id => document.getElementById(id);
let file = null, camera = null, clock = 0, limits = {megabytes: 500, minutes: 10};

function refuse(words) { at("refused").textContent = words; }

// Shows a clip that was chosen or filmed; null shows none.
function choose(own) {
  refuse("");
  if (own && own.size > limits.megabytes * 1e6) {
    refuse(`${own.name} has ${Math.round(own.size / 1e6)} MB; at most ${limits.megabytes} are accepted. Half a minute is enough.`);
    own = null;
  }
  file = own;
  URL.revokeObjectURL(at("preview").src);
  at("preview").removeAttribute("src");
  if (own) at("preview").src = URL.createObjectURL(own);
  at("chosen-name").textContent = own ? `${own.name}, ${(own.size / 1e6).toFixed(1)} MB` : "";
  at("chosen").hidden = !own;
  document.querySelector(".sources").hidden = Boolean(own);
  if (own) at("name").focus();
}

// ---- filming

function cameraOff() {
  camera?.close();
  camera = null;
  clearInterval(clock);
  at("filming").hidden = true;
  filming(false);
}

function filming(on) {
  at("film").setAttribute("aria-pressed", String(on));
  at("film").textContent = on ? "Stop filming" : "Start filming";
}

at("camera").onclick = async () => {
  refuse("");
  const opened = new Camera();
  try {
    await opened.open(at("mirror"));
    camera = opened;
    at("filming").hidden = false;
    at("clock").textContent = "0:00";
    at("film").focus();
  } catch (error) {
    opened.close();
    refuse(`No camera: ${error.message}`);
  }
};

at("film").onclick = async () => {
  if (!camera) return;
  if (camera.filming) {
    const own = await camera.finish();
    cameraOff();
    choose(own);
    return;
  }
  camera.start();
  filming(true);
  const began = Date.now();
  clock = setInterval(() => {
    const seconds = Math.floor((Date.now() - began) / 1000);
    at("clock").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (seconds >= 60 * limits.minutes) at("film").click();
  }, 250);
};

at("camera-off").onclick = () => { cameraOff(); at("camera").focus(); };

// ---- choosing

at("clip").onchange = () => { if (at("clip").files[0]) choose(at("clip").files[0]); at("clip").value = ""; };
at("discard").onclick = () => { choose(null); at("clip").focus(); };
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, event => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0] && !at("shelf").hidden) choose(event.dataTransfer.files[0]);
  });
}

// ---- sending

function upload(own, progress) {
  const [name, purpose, until] = ["name", "purpose", "until"].map(id => at(id).value);
  const form = new URLSearchParams({name, purpose, until, file: own.name, agreed: "yes"});
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/projects?${form}`);
    request.responseType = "json";
    request.upload.onprogress = ({loaded, total}) => progress(total ? loaded / total : 0);
    request.onload = () => request.status === 201 ? done(request.response) : failed(new Error(request.response?.error ?? "the server has refused it"));
    request.onerror = () => failed(new Error("the connection was lost; try again"));
    request.send(own);
  });
}

at("new").onsubmit = async event => {
  event.preventDefault();
  if (!file) return;
  refuse("");
  at("send").disabled = at("discard").disabled = true;
  at("sent").hidden = false;
  at("sent").value = 0;
  try {
    const project = await upload(file, share => { at("sent").value = share; });
    choose(null);
    at("new").reset();
    location.hash = project.id;
  } catch (error) {
    refuse(error.message[0].toUpperCase() + error.message.slice(1) + ".");
  } finally {
    at("send").disabled = at("discard").disabled = false;
    at("sent").hidden = true;
  }
};
