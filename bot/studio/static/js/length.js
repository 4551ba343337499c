// Length of a text by X's rules: Latin and similar characters count 1, others 2, an emoji 2, an address 23.

export const LIMIT = 280;
const ADDRESS = /https?:\/\/\S+/g;
const EMOJI = /\p{Extended_Pictographic}/u;
const light = (code) => code <= 4351 || (code >= 8192 && code <= 8205) || (code >= 8208 && code <= 8223) || (code >= 8242 && code <= 8247);

export function weight(text) {
  const plain = text.normalize("NFC");
  const addresses = plain.match(ADDRESS)?.length ?? 0;
  let sum = 23 * addresses;
  for (const { segment } of new Intl.Segmenter().segment(plain.replace(ADDRESS, ""))) {
    if (EMOJI.test(segment)) sum += 2;
    else for (const character of segment) sum += light(character.codePointAt(0)) ? 1 : 2;
  }
  return sum;
}
