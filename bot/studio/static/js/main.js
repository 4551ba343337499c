// Keyboard shortcuts and in-place changes. Every page works without this file, by mouse.
// Each module has one concern and a `setup`; a new module is imported here and added to the list.

import * as curating from "./curating.js";
import * as editor from "./editor.js";
import * as keys from "./keys.js";
import * as outbox from "./outbox.js";
import * as picking from "./picking.js";
import * as refresh from "./refresh.js";
import * as selection from "./selection.js";
import * as trying from "./trying.js";
import * as verdicts from "./verdicts.js";

for (const part of [outbox, keys, verdicts, trying, editor, selection, refresh, picking, curating]) part.setup();

document.documentElement.dataset.ready = "";
