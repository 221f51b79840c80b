// @ts-check
/** What the page of the shop around a room wishes: who the viewer is, which product to show. */

import { become } from "../account.js";
import { asProblem } from "../api.js";

/** @typedef {{onPerson: () => Promise<void>, onProduct: (name: string) => void}} Ways */

export class Wishes {
  /** @param {import("./host.js").Host} host */
  constructor(host) {
    this.host = host;
    /** The token that was tried last. */
    this.tried = "";
    /** One sign-in after the other, so that the newest token is the last. @type {Promise<void>} */
    this.signing = Promise.resolve();
  }

  /**
   * Signs in whom the shop's page named in its greeting, before anything else is asked of the server. A
   * token that is not good leaves a guest.
   */
  async begin() {
    await this.host.greeted();
    await this.signIn();
  }

  /** Heeds what comes from now on, and the token that came meanwhile. @param {Ways} ways */
  follow({ onPerson, onProduct }) {
    const next = () => {
      this.signing = this.signing.then(async () => {
        if (await this.signIn()) await onPerson();
      });
    };
    this.host.addEventListener("token", next);
    this.host.addEventListener("product", (event) => onProduct(/** @type {CustomEvent} */ (event).detail));
    next();
  }

  /** @returns {Promise<boolean>} whether the viewer is somebody else now */
  async signIn() {
    const { token } = this.host;
    if (token === this.tried) return false;
    this.tried = token;
    try {
      const { user, name, guest } = await become(token);
      this.host.say("session.changed", { user, name, guest });
      return true;
    } catch (error) {
      this.tried = ""; // the same token may be good the next time
      if (this.host.token === token) this.host.token = "";
      this.host.say("session.refused", { reason: asProblem(error).name });
      return false;
    }
  }
}
