// A charting front end as far as its data goes: what it asks of a UDF server, and what it reads in the answers.
// node udf_datafeed.mjs BASE SYMBOL RESOLUTION NOW [RANGE_SECONDS]: scrolls from NOW back to the beginning and prints
// the bars that it has then, as JSON. With RANGE_SECONDS it asks for ranges of time; without, for counts of bars.

const [base, symbol, resolution, now, range] = process.argv.slice(2);
const COUNT = 300;

async function ask(path, parameters = {}) {
  const query = Object.entries(parameters).map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`);
  const response = await fetch(`${base}/${path}${query.length ? "?" : ""}${query.join("&")}`);
  return JSON.parse(await response.text()); // whatever the status: the protocol tells success by the body
}

function barsOf(answer) {
  return answer.t.map((time, index) => ({
    time: time * 1000,
    open: parseFloat(answer.o[index]),
    high: parseFloat(answer.h[index]),
    low: parseFloat(answer.l[index]),
    close: parseFloat(answer.c[index]),
    volume: parseFloat(answer.v[index]),
  }));
}

async function scrollBack(info, until) {
  let bars = [];
  let to = until;
  let requests = 0;
  for (;;) {
    const from = to - (range ? Number(range) : COUNT * 86400);
    const window = { symbol: info.ticker, resolution, from, to };
    const answer = await ask("history", range ? window : { ...window, countback: COUNT });
    requests += 1;
    if (answer.s === "no_data") {
      if (answer.nextTime === undefined) return { bars, requests };
      if (answer.nextTime >= to) throw new Error(`nextTime ${answer.nextTime} is not before ${to}`);
      to = answer.nextTime + 1;
      continue;
    }
    if (answer.s !== "ok") throw new Error(answer.errmsg);
    bars = [...barsOf(answer), ...bars];
    // By count the next request ends where these bars begin; by time where this window did.
    to = range ? from : answer.t[0];
  }
}

const configuration = await ask("config");
const isServed = configuration.supports_search && !configuration.supports_group_request;
if (!isServed || !configuration.supported_resolutions.includes(resolution)) throw new Error("not configured");
const found = await ask("search", { query: symbol.toUpperCase(), type: "", exchange: "", limit: 30 });
const info = await ask("symbols", { symbol: found.length ? found[0].ticker : symbol });
if (info.s !== undefined) throw new Error(info.errmsg);
const clock = parseInt(await ask("time"), 10);
const quotes = await ask("quotes", { symbols: [info.ticker, "NO_SUCH"] });
const unknown = await ask("symbols", { symbol: "NO_SUCH" });
const history = await scrollBack(info, Number(now));
console.log(JSON.stringify({ info, clock, quotes: quotes.d, unknown: unknown.s, ...history }));
