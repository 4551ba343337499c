// Values that outlive the page: of a tab, or of this browser. A browser that forbids both keeps nothing.

function guarded(open) {
  const use = (act, otherwise) => {
    try {
      return act(open());
    } catch {
      return otherwise;
    }
  };
  return {
    get: (key) => use((store) => store.getItem(key), null),
    set: (key, value) => use((store) => store.setItem(key, value)),
    remove: (key) => use((store) => store.removeItem(key)),
  };
}

export const ofTab = guarded(() => sessionStorage);
export const ofBrowser = guarded(() => localStorage);
