// Short names for what every module asks of the document.

export const FRAGMENT_HEADER = "X-Studio-Fragment";

export const find = (selector, within = document) => within.querySelector(selector);
export const findAll = (selector, within = document) => [...within.querySelectorAll(selector)];
export const parse = (markup) => new DOMParser().parseFromString(markup, "text/html");
export const pageToken = () => find("meta[name=page-token]").content;
export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
