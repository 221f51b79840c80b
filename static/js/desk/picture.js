// @ts-check
/** Pictures from a phone are larger than the server takes: they are made smaller before they leave. */

import { Problem } from "../api.js";

/** What the server keeps. */
export const PICTURE_TYPES = ["image/png", "image/jpeg", "image/webp"];
/** The server takes up to 1 MiB; a little less is sent, in bytes. */
const MOST_BYTES = 1_000_000;
/** No page shows a picture larger than this, in pixels. */
const MOST_PIXELS = 1_600;
/** Tried in this order until the picture is small enough. */
const QUALITIES = [0.85, 0.7, 0.5];

/**
 * The picture itself where it can be sent as it is, else a smaller JPEG of it.
 *
 * @param {File} file @returns {Promise<Blob>} @throws {Problem} when this browser cannot read it
 */
export async function fittingPicture(file) {
  if (file.size <= MOST_BYTES && PICTURE_TYPES.includes(file.type)) return file;
  const canvas = await drawn(file);
  for (const quality of QUALITIES) {
    const blob = await new Promise((/** @type {(blob: Blob|null) => void} */ done) => canvas.toBlob(done, "image/jpeg", quality));
    if (blob && blob.size <= MOST_BYTES) return blob;
  }
  throw new Problem("too-large");
}

/** @param {File} file */
async function drawn(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  if (!bitmap || !pen) throw new Problem("picture-unreadable");
  const scale = Math.min(1, MOST_PIXELS / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  pen.fillStyle = "#fff"; // JPEG knows no transparency
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas;
}
