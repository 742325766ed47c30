/** The page put together: the one module that knows all others. */

import { Api } from "./api.js";
import { byId } from "./dom.js";
import { takeFiles } from "./intake.js";
import { Item } from "./item.js";
import { Keyring } from "./key.js";
import { lanes } from "./lanes.js";
import { PictureView } from "./picture.js";
import { Recent } from "./recent.js";

const PARALLEL_UPLOADS = 3;
const UPLOAD_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The upload that the address names, in its fragment: so a view can be linked and reloaded. */
function linkedId() {
  const id = location.hash.slice(1);
  return UPLOAD_ID.test(id) ? id : null;
}

function start() {
  const announce = (/** @type {string} */ words) => (byId("announcer").textContent = words);
  const keyring = new Keyring(byId("key-dialog"), sessionStorage);
  const api = new Api(keyring);
  const recent = new Recent(byId("recent"), { api, announce });
  const view = new PictureView(byId("picture"), { api, announce, confirmation: byId("confirm-dialog"), onDeleted });
  const inTurn = lanes(PARALLEL_UPLOADS);

  /** @param {string} words */
  function onDeleted(words) {
    history.pushState(null, "", location.pathname);
    view.close();
    recent.refresh();
    byId("image").focus();
    announce(words);
  }

  /**
   * Sends files, and opens the first of them that is taken.
   * @param {File[]} files
   */
  function take(files) {
    let opened = false;
    const onTaken = (/** @type {string} */ id) => {
      recent.refresh();
      if (opened) return;
      opened = true;
      history.pushState(null, "", `#${id}`);
      view.open(id);
    };
    const items = files.map((file) => new Item(file, { keyring, inTurn, announce, onTaken }));
    byId("queue").prepend(...items.map(({ root }) => root));
    items.forEach((item) => item.start());
  }

  function openLinked() {
    const id = linkedId();
    if (!id) return view.close();
    view.open(id);
    view.focus();
  }

  showKey(keyring);
  takeFiles(take);
  byId("origin").textContent = location.origin;
  byId("recent").hidden = false;
  recent.refresh();
  addEventListener("hashchange", openLinked);
  if (linkedId()) openLinked();
}

/**
 * A button to forget the key, while there is one.
 * @param {Keyring} keyring
 */
function showKey(keyring) {
  const forget = byId("forget-key");
  const show = () => (forget.hidden = !keyring.key);
  keyring.addEventListener("change", show);
  forget.addEventListener("click", () => keyring.forget());
  show();
}

start();
