// Plays a fragmented MP4 that never ends, close to its end.
"use strict";

class Player {
  static BEHIND = 0.25;      // seconds between what is shown and what has arrived
  static TOO_FAR = 1.0;      // further behind, it jumps
  static KEPT = 20;          // seconds that may be shown again

  constructor(video, mime) {
    this.video = video;
    this.waiting = [];
    const Source = window.ManagedMediaSource ?? window.MediaSource;
    if (!Source?.isTypeSupported(mime)) throw new Error(`this browser cannot play ${mime}`);
    this.source = new Source();
    this.source.addEventListener("sourceopen", () => {
      this.buffer = this.source.addSourceBuffer(mime);
      this.buffer.addEventListener("updateend", () => this.next());
      this.next();
    }, {once: true});
    video.src = URL.createObjectURL(this.source);
  }

  add(bytes) {
    this.waiting.push(bytes);
    this.next();
  }

  next() {
    if (!this.buffer || this.buffer.updating || this.source.readyState !== "open") return;
    this.follow();
    const {buffered} = this.buffer;
    const old = this.video.currentTime - Player.KEPT;
    if (buffered.length && buffered.start(0) < old - Player.KEPT) this.buffer.remove(0, old);
    else if (this.waiting.length) {
      const size = this.waiting.reduce((sum, part) => sum + part.byteLength, 0);
      const joined = new Uint8Array(size);
      let at = 0;
      for (const part of this.waiting) { joined.set(new Uint8Array(part), at); at += part.byteLength; }
      this.waiting = [];
      this.buffer.appendBuffer(joined);
    }
  }

  follow() {
    const {buffered} = this.buffer, {video} = this;
    if (!buffered.length) return;
    const ahead = buffered.end(buffered.length - 1) - video.currentTime;
    if (ahead > Player.TOO_FAR || video.currentTime < buffered.start(buffered.length - 1)) {
      video.currentTime = Math.max(buffered.start(buffered.length - 1), buffered.end(buffered.length - 1) - Player.BEHIND);
    }
    video.playbackRate = ahead > 2 * Player.BEHIND ? 1.06 : ahead < Player.BEHIND / 3 ? 0.94 : 1;
    if (video.paused && ahead >= Player.BEHIND) video.play().catch(() => {});
  }
}
