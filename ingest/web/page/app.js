/** Connects the parts of the page. No module imports this one. */

import { Api } from "./api.js";
import { DetailsView } from "./details.js";
import { byId } from "./dom.js";
import { listenForFiles } from "./files.js";
import { Item } from "./item.js";
import { Keyring } from "./key.js";
import { limitConcurrency } from "./limiter.js";
import { Recent } from "./recent.js";

const PARALLEL_UPLOADS = 3;
const UPLOAD_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

class App {
  #keyring = new Keyring(byId("key-dialog"), sessionStorage);
  #api = new Api(this.#keyring);
  #limit = limitConcurrency(PARALLEL_UPLOADS);
  #recent = new Recent(byId("recent"), { api: this.#api, announce });
  #details = new DetailsView(byId("details"), {
    api: this.#api,
    confirmation: byId("confirm-dialog"),
    announce,
    onDeleted: (id, message) => this.#onDeleted(id, message),
  });

  start() {
    byId("base").textContent = new URL(".", location.href).href;
    byId("recent").hidden = false;
    setUpForgetButton(this.#keyring);
    listenForFiles((files) => this.#upload(files));
    addEventListener("hashchange", () => this.#openLinked());
    this.#recent.refresh();
    this.#openLinked();
  }

  /**
   * Uploads files and opens the first one that is accepted.
   * @param {File[]} files
   */
  #upload(files) {
    let opened = false;
    const onUploaded = (/** @type {string} */ id) => {
      this.#recent.refresh();
      if (!opened) this.#open(id);
      opened = true;
    };
    const context = { keyring: this.#keyring, limit: this.#limit, announce, onUploaded };
    const items = files.map((file) => new Item(file, context));
    byId("queue").prepend(...items.map(({ root }) => root));
    items.forEach((item) => item.start());
  }

  /** @param {string} id */
  #open(id) {
    history.pushState(null, "", `#${id}`);
    this.#details.open(id);
  }

  /** Opens the upload named in the URL's fragment, so that a view can be linked and reloaded. */
  #openLinked() {
    const id = location.hash.slice(1);
    if (!UPLOAD_ID.test(id)) return this.#details.close();
    this.#details.open(id);
    this.#details.focus();
  }

  /**
   * @param {string} id
   * @param {string} message
   */
  #onDeleted(id, message) {
    this.#recent.refresh();
    announce(message);
    if (location.hash !== `#${id}`) return; // another upload was opened meanwhile
    history.pushState(null, "", location.pathname);
    this.#details.close();
    byId("image").focus();
  }
}

/**
 * Announces a message to screen readers.
 * @param {string} message
 */
function announce(message) {
  byId("announcer").textContent = message;
}

/**
 * Shows the button that forgets the key while there is a key.
 * @param {Keyring} keyring
 */
function setUpForgetButton(keyring) {
  const button = byId("forget-key");
  const update = () => (button.hidden = !keyring.key);
  keyring.addEventListener("change", update);
  button.addEventListener("click", () => keyring.forget());
  update();
}

new App().start();
