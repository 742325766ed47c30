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

class App {
  #keyring = new Keyring(byId("key-dialog"), sessionStorage);
  #api = new Api(this.#keyring);
  #inTurn = lanes(PARALLEL_UPLOADS);
  #recent = new Recent(byId("recent"), { api: this.#api, announce });
  #view = new PictureView(byId("picture"), {
    api: this.#api,
    confirmation: byId("confirm-dialog"),
    announce,
    onDeleted: (id, words) => this.#deleted(id, words),
  });

  start() {
    byId("origin").textContent = location.origin;
    byId("recent").hidden = false;
    offerToForget(this.#keyring);
    takeFiles((files) => this.#take(files));
    addEventListener("hashchange", () => this.#openLinked());
    this.#recent.refresh();
    this.#openLinked();
  }

  /**
   * Sends files, and opens the first of them that is taken.
   * @param {File[]} files
   */
  #take(files) {
    let opened = false;
    const onTaken = (/** @type {string} */ id) => {
      this.#recent.refresh();
      if (!opened) this.#open(id);
      opened = true;
    };
    const around = { keyring: this.#keyring, inTurn: this.#inTurn, announce, onTaken };
    const items = files.map((file) => new Item(file, around));
    byId("queue").prepend(...items.map(({ root }) => root));
    items.forEach((item) => item.start());
  }

  /** @param {string} id */
  #open(id) {
    history.pushState(null, "", `#${id}`);
    this.#view.open(id);
  }

  /** The upload that the address names, in its fragment: so a view can be linked and reloaded. */
  #openLinked() {
    const id = location.hash.slice(1);
    if (!UPLOAD_ID.test(id)) return this.#view.close();
    this.#view.open(id);
    this.#view.focus();
  }

  /**
   * @param {string} id
   * @param {string} words
   */
  #deleted(id, words) {
    this.#recent.refresh();
    announce(words);
    if (location.hash !== `#${id}`) return; // another was opened meanwhile
    history.pushState(null, "", location.pathname);
    this.#view.close();
    byId("image").focus();
  }
}

/**
 * Says something to those who do not see the page.
 * @param {string} words
 */
function announce(words) {
  byId("announcer").textContent = words;
}

/**
 * A button to forget the key, while there is one.
 * @param {Keyring} keyring
 */
function offerToForget(keyring) {
  const forget = byId("forget-key");
  const show = () => (forget.hidden = !keyring.key);
  keyring.addEventListener("change", show);
  forget.addEventListener("click", () => keyring.forget());
  show();
}

new App().start();
