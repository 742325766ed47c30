/** Connects the parts of the page. No module imports this one. */

import { Access } from "./access.js";
import { Api } from "./api.js";
import { showCommand } from "./command.js";
import { DetailsView } from "./details.js";
import { byId } from "./dom.js";
import { listenForFiles } from "./files.js";
import { foldOnPhones } from "./fold.js";
import { Item } from "./item.js";
import { Keyring } from "./key.js";
import { limitConcurrency } from "./limiter.js";
import { Previews } from "./previews.js";
import { Recent } from "./recent.js";

const PARALLEL_UPLOADS = 3;
const UPLOAD_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

class App {
  #keyring = new Keyring(byId("key-dialog"), sessionStorage);
  #api = new Api(this.#keyring);
  #access = new Access(this.#api);
  #previews = new Previews(this.#api, this.#access);
  #limit = limitConcurrency(PARALLEL_UPLOADS);
  #shared = {
    api: this.#api,
    access: this.#access,
    previews: this.#previews,
    confirmation: byId("confirm-dialog"),
    announce,
  };
  #recent = new Recent(byId("recent"), {
    ...this.#shared,
    onDeleted: (ids, message) => this.#onDeleted(ids, message),
  });
  #details = new DetailsView(byId("details"), {
    ...this.#shared,
    onChanged: () => this.#recent.refresh(),
    onDeleted: (id, message) => this.#onDeleted([id], message),
  });

  async start() {
    const [keyring, access] = [this.#keyring, this.#access];
    foldOnPhones();
    showCommand(byId("command"), { keyring, access, announce });
    setUpForgetButton(keyring);
    access.addEventListener("change", () => this.#showWhatTheKeyAllows());
    keyring.addEventListener("change", () => access.load());
    listenForFiles((files) => this.#upload(files));
    await access.load();
    addEventListener("hashchange", () => this.#openLinked());
    this.#openLinked();
    if (access.allows("read")) this.#recent.refresh();
  }

  #showWhatTheKeyAllows() {
    const mayRead = this.#access.allows("read");
    byId("recent").hidden = !mayRead;
    byId("metrics-link").hidden = !this.#access.metrics;
    byId("upload-form").hidden = !this.#access.allows("upload");
    byId("no-upload").hidden = this.#access.allows("upload");
    byId("no-read").hidden = mayRead;
  }

  /**
   * Uploads files and opens the first one that is accepted.
   * @param {File[]} files
   */
  #upload(files) {
    let opened = false;
    const onUploaded = (/** @type {string} */ id) => {
      if (!this.#access.allows("read")) return;
      this.#recent.refresh();
      if (!opened) this.#open(id);
      opened = true;
    };
    const canOpen = () => this.#access.allows("read");
    const context = { keyring: this.#keyring, limit: this.#limit, announce, canOpen, onUploaded };
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
   * @param {string[]} ids
   * @param {string} message
   */
  #onDeleted(ids, message) {
    this.#recent.onDeleted(ids);
    announce(message);
    const opened = ids.find((id) => location.hash === `#${id}`);
    if (!opened) return; // another upload is open, or none
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
