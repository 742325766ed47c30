/** The page of the album: logs in, uploads straight to Darkroom, and shows the photos. */

import { describeUpload, pictureHtml, upload, UploadError } from "/darkroom-client/index.js";

const find = (id) => document.getElementById(id);
let darkroom; // the URL of Darkroom: another origin than this page's
let sizes; // the JSON of GET /sizes, from which the URLs of all photos are made
let timer; // of the next question to the back end

/** Calls the back end. Returns its JSON; throws for an error. */
async function call(method, path, body) {
    const response = await fetch(`/api/${path}`, {
        method,
        ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
    });
    if (!response.ok) {
        throw Object.assign(new Error(`The server answered with ${response.status}.`), { status: response.status });
    }
    return response.status === 204 ? null : response.json();
}

/** A figure with the photo. Its placeholder is in the element itself, so it shows before the first byte of the image. */
function figure(photo) {
    const element = find("photo").content.cloneNode(true).firstElementChild;
    // pictureHtml escapes all values. `token` is undefined for public photos.
    element.querySelector("div").innerHTML = pictureHtml(describeUpload(sizes, photo), {
        alt: photo.title,
        sizes: "(min-width: 34rem) 20rem, 100vw", // how wide the grid shows it; the browser chooses from the srcset by this
        token: photo.token,
    });
    element.id = photo.uploadId;
    element.querySelector("figcaption").textContent = caption(photo);
    return element;
}

/** `preparing` until a webhook has said `ready` or `failed`. The photo can be seen all the while. */
function caption({ title, visibility, status }) {
    return `${title} (${visibility}, ${status})`;
}

/** Asks the back end for the photos. Only captions of shown photos change, so that no image is loaded again. */
async function refresh() {
    const photos = await call("GET", "photos");
    const elements = photos.map((photo) => {
        const shown = find(photo.uploadId);
        shown?.querySelector("figcaption").replaceChildren(caption(photo));
        return shown ?? figure(photo);
    });
    const current = find("photos").children;
    if (elements.length !== current.length || elements.some((element, index) => element !== current[index])) {
        find("photos").replaceChildren(...elements);
    }
    return photos;
}

/** Asks again until the webhooks have told the back end of all photos. */
async function watch() {
    clearTimeout(timer);
    const photos = await refresh();
    if (photos.some((photo) => photo.status === "preparing")) {
        timer = setTimeout(() => watch().catch(report), 1000);
    }
}

async function start() {
    const session = await call("GET", "session").catch((error) => {
        if (error.status === 401) {
            return null;
        }
        throw error;
    });
    find("login").hidden = session !== null;
    find("album").hidden = session === null;
    if (session !== null) {
        find("user").textContent = session.name;
        darkroom = session.darkroom;
        sizes = await (await fetch(`${darkroom}/sizes`)).json();
        await watch();
    }
}

async function logIn(form) {
    await call("POST", "session", { name: form.elements.name.value });
    await start();
}

async function uploadPhoto(form) {
    const { title, photo, private: isPrivate } = form.elements;
    const progress = find("progress");
    progress.hidden = false;
    try {
        const { ticket } = await call("POST", "tickets", { private: isPrivate.checked });
        const { receipt } = await upload(photo.files[0], {
            base: darkroom,
            ticket,
            onProgress: ({ loaded, total }) => (progress.value = loaded / total),
        });
        find("photos").prepend(figure(await call("POST", "photos", { receipt, title: title.value })));
        form.reset();
    } finally {
        progress.hidden = true;
    }
    await watch();
}

async function deleteAccount() {
    clearTimeout(timer);
    await call("DELETE", "account");
    find("photos").replaceChildren();
    await start();
    find("message").textContent = "Your account and all its photos are deleted.";
}

/** UploadError has a sentence for people, such as "Send a JPEG, PNG or WebP image." */
function report(error) {
    const isForPeople = error instanceof UploadError;
    find("message").textContent = isForPeople ? error.message : "That did not work. Please try again.";
    if (!isForPeople) {
        console.error(error);
    }
}

async function attempt(action) {
    find("message").textContent = "";
    await action().catch(report);
}

function onSubmit(form, action) {
    form.addEventListener("submit", async (event) => {
        event.preventDefault();
        const button = form.querySelector("button");
        button.disabled = true; // one upload for each click
        await attempt(() => action(form));
        button.disabled = false;
    });
}

onSubmit(find("login"), logIn);
onSubmit(find("upload"), uploadPhoto);
find("delete").addEventListener("click", () => confirm("Delete your account and all its photos?") && attempt(deleteAccount));
attempt(start);
