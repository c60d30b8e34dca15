// Films a clip with the camera and the microphone of this device.
"use strict";

class Camera {
  static TYPES = ["video/mp4;codecs=avc1.42E01E,mp4a.40.2", "video/webm;codecs=vp9,opus", "video/webm;codecs=vp8,opus", "video/webm", "video/mp4"];

  // Show the camera in `video`.
  async open(video) {
    if (!navigator.mediaDevices) throw new Error("browsers give a camera only to https pages and to this machine");
    this.stream = await navigator.mediaDevices.getUserMedia({
      video: {width: {ideal: 1280}, height: {ideal: 720}, frameRate: {ideal: 30}, facingMode: "user"},
      audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: true},
    });
    this.video = video;
    video.srcObject = this.stream;
  }

  get filming() { return this.recorder?.state === "recording"; }

  start() {
    const type = Camera.TYPES.find(own => MediaRecorder.isTypeSupported(own));
    const parts = [];
    this.recorder = new MediaRecorder(this.stream, {mimeType: type, videoBitsPerSecond: 8_000_000, audioBitsPerSecond: 192_000});
    this.recorder.ondataavailable = ({data}) => parts.push(data);
    this.stopped = new Promise(done => {
      this.recorder.onstop = () => {
        const ending = this.recorder.mimeType.includes("mp4") ? "mp4" : "webm";
        done(new File(parts, `recording.${ending}`, {type: this.recorder.mimeType}));
      };
    });
    this.recorder.start(1000);
  }

  // End filming; gives the clip as a file.
  finish() {
    this.recorder.stop();
    return this.stopped;
  }

  close() {
    if (this.filming) this.recorder.stop();
    this.stream?.getTracks().forEach(track => track.stop());
    if (this.video) this.video.srcObject = null;
    this.stream = null;
  }
}
