// Browsers start no workers for pages that are read from the disk. There the search runs in a hidden frame instead.
if (location.protocol === "file:") {
  const load = (inside, url) => new Promise((done, failed) => {
    const script = inside.document.createElement("script");
    Object.assign(script, { src: url, onload: done, onerror: failed });
    inside.document.documentElement.append(script);
  });
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      this.inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.inside.importScripts = (...urls) =>
        urls.reduce((before, next) => before.then(() => load(this.inside, next)), Promise.resolve());
      this.ready = load(this.inside, url);
    }

    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
  window.Worker = window.IFrameWorker;
}
