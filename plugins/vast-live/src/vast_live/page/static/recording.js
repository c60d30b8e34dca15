// Cuts a recording out of the stream: whole fragments from a key frame on, with times that begin at 0.
"use strict";

class Recording {
  constructor(beginning) {
    this.beginning = beginning;
    this.recent = [];        // fragments since the last key frame
    this.parts = null;       // what is being recorded
  }

  add(bytes) {
    const copy = new Uint8Array(bytes).slice();
    if (Recording.runs(copy).some(run => run.track === 1 && run.key)) this.recent = [];
    this.recent.push(copy);
    this.parts?.push(copy);
  }

  start() { this.parts = [...this.recent]; }

  finish() {
    const parts = this.parts.map(part => part.slice());
    this.parts = null;
    const first = {};
    for (const part of parts) {
      for (const run of Recording.runs(part)) {
        const view = new DataView(part.buffer);
        first[run.track] ??= view.getBigUint64(run.time);
        view.setBigUint64(run.time, view.getBigUint64(run.time) - first[run.track]);
      }
    }
    return new Blob([this.beginning, ...parts], {type: "video/mp4"});
  }

  // The runs of a fragment: track, place of its time, and whether it begins with a key frame.
  static runs(bytes) {
    const view = new DataView(bytes.buffer), found = [];
    let run = null;
    const walk = (at, end) => {
      while (at + 8 <= end) {
        const size = view.getUint32(at), name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
        if (name === "moof") walk(at + 8, at + size);
        if (name === "traf") { run = {}; found.push(run); walk(at + 8, at + size); }
        if (name === "tfhd") { run.track = view.getUint32(at + 12); run.key = view.getUint32(at + 20) === 0x02000000; }
        if (name === "tfdt") run.time = at + 12;
        at += Math.max(8, size);
      }
    };
    walk(0, bytes.length);
    return found;
  }
}
