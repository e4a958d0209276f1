/** Numbers and times for people. The API gives times in UTC; a trader in Vietnam lives at UTC+7. */

import { currentLocale, language, t } from "./i18n.js";
import { MARKETS } from "./markets.js";

const LOCALE = currentLocale();
const MINUS = "\u2212";
const NONE = "\u2013";
const HOUR_MS = 3_600_000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECTORS = {
  BAN_LE: "Retail",
  BAO_HIEM: "Insurance",
  BAT_DONG_SAN: "Real estate",
  BAT_DONG_SAN_KCN: "Industrial parks",
  CAO_SU: "Rubber",
  CHUNG_KHOAN: "Securities",
  CONG_NGHE: "Technology",
  DAU_KHI: "Oil and gas",
  DAU_TU_CONG: "Public works",
  DET_MAY: "Textiles",
  HANG_KHONG: "Aviation",
  HOA_CHAT: "Chemicals",
  KHAI_KHOANG: "Mining",
  NANG_LUONG: "Energy",
  NGAN_HANG: "Banks",
  NHUA: "Plastics",
  NONG_NGHIEP: "Agriculture",
  OTHERS: "Others",
  PENNY: "Penny stocks",
  SUC_KHOE: "Health care",
  THEP: "Steel",
  THUC_PHAM: "Food",
  THUY_SAN: "Seafood",
  VAN_TAI: "Transport",
  VLXD: "Building materials",
  XAY_DUNG: "Construction",
  XAY_LAP_DIEN: "Power engineering",
  CRYPTO_TOP_100: "Crypto top 100",
};

const formats = new Map();
const clocks = new Map();
const offsets = new Map();

/** A number with thousands separators; making an Intl format costs more than using it. */
function fixed(value, low, high = low) {
  const key = `${low} ${high}`;
  if (!formats.has(key)) {
    formats.set(key, new Intl.NumberFormat(LOCALE, { minimumFractionDigits: low, maximumFractionDigits: high }));
  }
  return formats.get(key).format(value).replace("-", MINUS);
}

const compactFormat = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumFractionDigits: 2 });

/** @typedef {"dong" | "points" | "usd"} Unit */

/** A price without its currency; coins get the decimals that their size needs. @param {Unit} unit */
export function price(value, unit) {
  return value == null ? NONE : fixed(value, ...decimals(value, unit));
}

/** The difference of two prices, of which one is given, with its decimals at most. @param {Unit} unit */
export function difference(value, unit, like) {
  if (value == null) return "";
  const [low, high] = decimals(like, unit);
  return `${value > 0 ? "+" : ""}${fixed(value, Math.min(low, 2), high ?? low)}`;
}

/** @returns {[least: number, most?: number]} */
function decimals(value, unit) {
  if (unit === "dong") return [0];
  const size = Math.abs(value);
  if (unit === "points" || size >= 10 || size === 0) return [2];
  return size >= 1 ? [2, 4] : [Math.min(12, 3 + Math.ceil(-Math.log10(size)))];
}

/** A price with its currency or "points". @param {Unit} unit */
export function money(value, unit) {
  if (value == null) return NONE;
  const text = price(value, unit);
  if (unit === "usd") return text.startsWith(MINUS) ? `${MINUS}$${text.slice(1)}` : `$${text}`;
  return unit === "dong" ? `${text} \u20ab` : text;
}

/** 1,570,800 as 1.57M. */
export function compact(value) {
  return value == null ? NONE : compactFormat.format(value).replace("-", MINUS);
}

export function whole(value) {
  return value == null ? NONE : fixed(value, 0, 4);
}

/** With sign: colour must not be the only thing that tells a rise from a fall. */
export function percent(value, decimals = 2) {
  if (value == null) return NONE;
  const text = fixed(value, decimals);
  return `${value > 0 ? "+" : ""}${text}%`;
}

export function share(value) {
  return value == null ? NONE : `${fixed(value, 1)}%`;
}

export function signedCompact(value) {
  return value == null ? NONE : `${value > 0 ? "+" : ""}${compact(value)}`;
}

/** An arrow for a change, or nothing. */
export function arrow(value) {
  if (!value) return "";
  return value > 0 ? "\u25b2" : "\u25bc";
}

/** The class that colours a change. */
export function direction(value) {
  if (value == null) return "unknown";
  if (value === 0) return "flat";
  return value > 0 ? "up" : "down";
}

/** Name of a sector; one this page does not know is shown as it is written, but calmer. */
export function sectorName(code) {
  if (!code) return NONE;
  if (SECTORS[code]) return t(SECTORS[code]);
  return code.charAt(0) + code.slice(1).toLowerCase().replaceAll("_", " ");
}

/** A bar's time as milliseconds, shifted so that its UTC fields are those of the market's own clock. */
export function marketTime(text, mode) {
  if (text.length === 10) return Date.parse(`${text}T00:00:00Z`);
  const ms = Date.parse(`${text}Z`);
  return ms + offsetMs(ms, mode);
}

/** How far the market's clock is ahead of UTC at a moment; kept by the hour, since asking for it takes a microsecond or two. */
function offsetMs(ms, mode) {
  const key = `${mode} ${Math.floor(ms / HOUR_MS)}`;
  if (!offsets.has(key)) offsets.set(key, Date.parse(`${clockOf(mode).format(ms).replace(" ", "T")}Z`) - Math.floor(ms / 1000) * 1000);
  return offsets.get(key);
}

/** Writes moments as the clock of the market shows them; Swedes write them as the API does, but for the T. */
function clockOf(mode) {
  if (!clocks.has(mode)) {
    const { timeZone } = MARKETS.get(mode);
    clocks.set(mode, new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" }));
  }
  return clocks.get(mode);
}

/** Name of the clock that intraday times are shown in. */
export function clockName(mode) {
  return t(MARKETS.get(mode).clock);
}

const two = (number) => String(number).padStart(2, "0");

export function dayText(ms) {
  const date = new Date(ms);
  return language === "vi" ? `${shortDay(ms)}/${date.getUTCFullYear()}` : `${shortDay(ms)} ${date.getUTCFullYear()}`;
}

export function shortDay(ms) {
  const date = new Date(ms);
  return language === "vi" ? `${two(date.getUTCDate())}/${two(date.getUTCMonth() + 1)}` : `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
}

export function monthName(ms) {
  const month = new Date(ms).getUTCMonth();
  return language === "vi" ? `Th${month + 1}` : MONTHS[month];
}

export function clockText(ms) {
  const date = new Date(ms);
  return `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
}

/** @param {number} ms as `marketTime` gives it */
export function barTime(ms, isIntraday) {
  return isIntraday ? `${dayText(ms)} ${clockText(ms)}` : dayText(ms);
}

export function isoDay(ms) {
  return new Date(ms).toISOString().slice(0, 10);
}

/** A market time as the API takes it, in UTC. */
export function apiTime(ms, mode) {
  return new Date(ms - offsetMs(ms - offsetMs(ms, mode), mode)).toISOString().slice(0, 19);
}

/** What the market's clock says now, as `marketTime` gives it. */
export function marketNow(mode) {
  return Date.now() + offsetMs(Date.now(), mode);
}
