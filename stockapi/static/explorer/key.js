/** The key of a server that wants one: asked for after a 401, and kept as long as this tab. It stands in no address and no line to copy. */

import { byId } from "./dom.js";

const NAME = "key";
let key = stored();
/** The dialog that is open, for all requests that were refused meanwhile. @type {Promise<boolean> | null} */
let asking = null;
let isDeclined = false;

export const currentKey = () => key;

/** @param {string} refused the key of the request that was refused @returns {Promise<boolean>} whether there is another one to try */
export async function askForKey(refused) {
  if (key !== refused) return true;
  if (isDeclined) return false;
  asking ??= answer().finally(() => (asking = null));
  return asking;
}

function answer() {
  const dialog = byId("key-dialog");
  const input = byId("key");
  byId("key-unknown").hidden = key === "";
  return new Promise((resolve) => {
    const onClose = () => {
      const given = dialog.returnValue === "given" ? input.value.trim() : "";
      input.value = "";
      isDeclined = given === "";
      if (given) remember(given);
      resolve(!isDeclined);
    };
    dialog.addEventListener("close", onClose, { once: true });
    dialog.returnValue = "";
    dialog.showModal();
  });
}

function remember(given) {
  key = given;
  try {
    sessionStorage.setItem(NAME, given);
  } catch {
    // Storage may be blocked: the key then lasts as long as the page.
  }
}

function stored() {
  try {
    return sessionStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}
