// The page: the sentence, the button, the result, the history.
import { Recording } from "./record.js";

const $ = (id) => document.getElementById(id);
const HISTORY = "auricle.history";
const MOST_HISTORY = 200;
// What the server says was heard where nothing was.
const LEFT_OUT = "<del>";

let recording = null; // the one that goes on, if any
let finished = null; // the last one with a result
let examples = {}; // a word for every phone
let threshold = 50; // a sound with a lower score is wrong, as the server says

// Elements with text only: nothing that was typed or sent is ever read as markup.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

// Wrong, and the two halves of right.
const grade = (score, limit = threshold) => (score < limit ? "bad" : score < (limit + 100) / 2 ? "fair" : "good");
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
const example = (phone) => (examples[phone] ? ` as in “${examples[phone]}”` : "");
const whole = (score) => Math.round(score);

function announce(text) {
  $("status").textContent = text;
}

// --- the sentence

function plainSentence() {
  finished = null;
  $("result").hidden = true;
  const words = $("prompt").value.trim().split(/\s+/).filter(Boolean);
  $("sentence").replaceChildren(
    ...words.map((word) => element("span", { class: "word" }, element("span", { class: "text" }, word))),
  );
}

function sentenceOf(words) {
  $("sentence").replaceChildren(
    ...words.map((word) =>
      element(
        "span",
        {
          class: word.guessed ? "word guessed" : "word",
          title: word.guessed ? "Not in the dictionary: the sounds are guessed from the letters" : null,
        },
        element("span", { class: "text" }, word.text),
        element("span", { class: "phones" }, ...word.phones.map((phone) => element("span", { class: "phone", title: example(phone) }, phone))),
      ),
    ),
  );
}

// The word that is being said.
function light(position) {
  let at = 0;
  for (const word of $("sentence").children) {
    const count = word.querySelectorAll(".phone").length;
    word.classList.toggle("now", position >= at && position < at + count);
    at += count;
  }
}

// What was heard in the place of each sound so far.
function mark(states) {
  const phones = $("sentence").querySelectorAll(".phone");
  for (const { index, verdict, said } of states) {
    const phone = phones[index];
    if (!phone) continue;
    phone.classList.remove("right", "other", "missed");
    if (verdict !== "open") phone.classList.add(verdict);
    const heard = said ? `sounded like “${said}” so far` : verdict === "missed" ? "not heard so far" : "";
    phone.title = [heard, example(phone.textContent).trim()].filter(Boolean).join("; ");
  }
}

function colour(index, result) {
  const word = $("sentence").children[index];
  if (!word) return;
  const phones = word.querySelectorAll(".phone");
  result.phones.forEach((phone, i) => phones[i]?.classList.add(grade(phone.score)));
}

// --- recording

function start() {
  const prompt = $("prompt").value.trim();
  $("error").textContent = "";
  if (!prompt) {
    $("error").textContent = "Write what you want to say first.";
    return $("prompt").focus();
  }
  $("result").hidden = true;
  recording = new Recording(prompt, {
    ready(event) {
      threshold = event.threshold;
      sentenceOf(event.words);
      light(0);
      announce("Speak now.");
      document.dispatchEvent(new CustomEvent("auricle", { detail: event }));
    },
    partial(event) {
      $("clock").textContent = `${event.audio_secs.toFixed(1)} s`;
      light(event.position);
      mark(event.phones);
      document.dispatchEvent(new CustomEvent("auricle", { detail: event }));
      if (event.over && $("auto").checked) stop();
    },
    verdict(event) {
      colour(event.word, event.result);
    },
    final(event) {
      finished = { recording, result: event };
      show(event);
      remember(prompt, event);
      document.dispatchEvent(new CustomEvent("auricle", { detail: event }));
    },
    level: meter,
    error(message) {
      $("error").textContent = message;
      announce("");
    },
    end: rest,
  });
  $("record").setAttribute("aria-pressed", "true");
  $("record-label").textContent = "Stop";
  $("prompt").disabled = $("prompts").disabled = $("another").disabled = true;
  announce("Opening the microphone …");
  recording.start();
}

function stop() {
  if (!recording || recording.state === "judging") return;
  announce(recording.state === "recording" ? "Judging …" : "");
  recording.stop();
}

function rest() {
  recording = null;
  $("record").setAttribute("aria-pressed", "false");
  $("record-label").textContent = "Record";
  $("prompt").disabled = $("prompts").disabled = $("another").disabled = false;
  meter(0);
}

const toggle = () => (recording ? stop() : start());

function meter(peak) {
  const level = Math.max(-60, 20 * Math.log10(Math.max(peak, 1e-6)));
  $("level").style.transform = `scaleX(${(level + 60) / 60})`;
  $("meter").setAttribute("aria-valuenow", Math.round(level));
}

// --- the result

async function play(from, to, button) {
  if (!finished) return;
  button?.setAttribute("aria-busy", "true");
  // A little around it: a sound alone is hard to recognise.
  await finished.recording.play(from - 0.05, to + 0.05);
  button?.removeAttribute("aria-busy");
}

function spanOf(word) {
  return [word.phones[0].start_secs, word.phones.at(-1).end_secs];
}

function tip(word, phone) {
  const heard = phone.said === LEFT_OUT ? "It was left out." : phone.said ? `It sounded like “${phone.said}”.` : "It was not clear.";
  const button = element(
    "button",
    { class: "quiet", type: "button", "aria-label": `Play “${word.text}”`, onclick: () => play(...spanOf(word), button) },
    "▶",
  );
  return element(
    "div",
    { class: `tip ${grade(phone.score)}` },
    element("span", { class: "sound" }, phone.phone),
    element(
      "div",
      {},
      element("p", {}, element("strong", {}, word.text), `: “${phone.phone}”${example(phone.phone)}. ${heard}`),
      phone.hint && phone.said !== LEFT_OUT ? element("p", { class: "small" }, sentence(phone.hint)) : null,
    ),
    button,
  );
}

const isSilent = (result) => result.notice?.code === "silence";

function show(result) {
  $("sentence").replaceChildren(
    ...result.words.map((word) => {
      const made = element(
        "button",
        {
          type: "button",
          class: `word ${grade(word.score)}`,
          "aria-label": `${word.text}, ${whole(word.score)} of 100. Play it.`,
          onclick: () => play(...spanOf(word), made),
        },
        element("span", { class: "text" }, word.text),
        element(
          "span",
          { class: "phones" },
          ...word.phones.map((phone) =>
            element("span", { class: `phone ${grade(phone.score)}`, title: `${whole(phone.score)} of 100${example(phone.phone)}` }, phone.phone),
          ),
        ),
      );
      return made;
    }),
  );

  const share = Math.max(0.001, result.score / 100) * 276.5;
  $("ring").className = `ring ${grade(result.score)}`;
  $("ring").setAttribute("aria-label", `Score ${whole(result.score)} of 100`);
  $("score").textContent = whole(result.score);
  $("ring").querySelector("svg")?.remove();
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("aria-hidden", "true");
  for (const dash of [null, `${share} 276.5`]) {
    const circle = document.createElementNS(svg.namespaceURI, "circle");
    for (const [key, value] of Object.entries({ cx: 50, cy: 50, r: 44 })) circle.setAttribute(key, value);
    if (dash) circle.setAttribute("stroke-dasharray", dash);
    svg.append(circle);
  }
  $("ring").prepend(svg);

  const wrong = result.words.flatMap((word) => word.phones.filter((phone) => phone.mispronounced).map((phone) => [word, phone]));
  const count = wrong.length;
  const found =
    count === 0
      ? "Every sound was right."
      : `${count} ${count === 1 ? "sound" : "sounds"} to work on. Press a word to hear yourself.`;
  const notice = result.notice ? [sentence(result.notice.message)] : [];
  const summary = [...notice, ...(isSilent(result) ? [] : [found])].join(" ");
  $("summary").textContent = summary;
  $("advice").replaceChildren(
    ...wrong.sort((a, b) => a[1].score - b[1].score).slice(0, 4).map(([word, phone]) => tip(word, phone)),
  );
  $("table").replaceChildren(
    ...result.words.flatMap((word) =>
      word.phones.map((phone, i) =>
        element(
          "tr",
          {},
          i === 0
            ? element("th", { scope: "rowgroup", rowspan: word.phones.length }, word.text)
            : null,
          element("td", {}, element("span", { class: `phone ${grade(phone.score)}` }, phone.phone)),
          element("td", {}, String(whole(phone.score))),
          element(
            "td",
            {},
            element(
              "button",
              {
                type: "button",
                "aria-label": `Play the sound ${phone.phone} of ${word.text}`,
                onclick: () => play(phone.start_secs, phone.end_secs),
              },
              `▶ ${phone.start_secs.toFixed(2)}–${phone.end_secs.toFixed(2)} s`,
            ),
          ),
          element("td", {}, phone.mispronounced ? (phone.said === LEFT_OUT ? "left out" : (phone.said ?? "unclear")) : "✓"),
        ),
      ),
    ),
  );
  $("result").hidden = false;
  $("result-title").focus({ preventScroll: true });
  $("result").scrollIntoView({ block: "nearest", behavior: "smooth" });
  announce(`Score ${whole(result.score)} of 100. ${summary}`);
}

// --- history: in this browser only

function history() {
  try {
    const kept = JSON.parse(localStorage.getItem(HISTORY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((entry) => Number.isFinite(entry?.score)) : [];
  } catch {
    return [];
  }
}

function remember(prompt, result) {
  if (isSilent(result)) return;
  const kept = [...history(), { prompt, score: result.score, threshold, when: Date.now() }].slice(-MOST_HISTORY);
  try {
    localStorage.setItem(HISTORY, JSON.stringify(kept));
  } catch {
    // Private windows may keep nothing; the page works without.
  }
  showHistory(kept);
}

function showHistory(kept = history()) {
  $("past").hidden = kept.length === 0;
  if (kept.length === 0) return;
  const svg = $("chart");
  const shown = kept.slice(-40);
  const x = (i) => (shown.length === 1 ? 300 : 10 + (580 * i) / (shown.length - 1));
  const y = (score) => 110 - score;
  const make = (name, attributes) => {
    const made = document.createElementNS(svg.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const path = shown.map((entry, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(entry.score).toFixed(1)}`).join("");
  svg.replaceChildren(
    ...[0, 50, 100].map((score) => make("line", { x1: 0, x2: 600, y1: y(score), y2: y(score) })),
    make("path", { class: "area", d: `${path}L${x(shown.length - 1)} 110L${x(0)} 110Z` }),
    make("path", { class: "line", d: shown.length === 1 ? `M280 ${y(shown[0].score)}L320 ${y(shown[0].score)}` : path }),
  );
  const best = Math.max(...kept.map((entry) => entry.score));
  svg.setAttribute("aria-label", `Scores of the last ${shown.length} takes; best ${whole(best)}, last ${whole(shown.at(-1).score)}`);
  $("history").replaceChildren(
    ...kept.toReversed().map((entry) =>
      element(
        "li",
        {},
        element(
          "button",
          { type: "button", title: "Practise it again", onclick: () => choose(entry.prompt) },
          element("span", { class: `number ${grade(entry.score, entry.threshold)}` }, String(whole(entry.score))),
          element("span", { class: "what" }, String(entry.prompt)),
          element("time", {}, new Date(entry.when).toLocaleDateString([], { dateStyle: "medium" })),
        ),
      ),
    ),
  );
}

// --- choosing what to say

function choose(prompt) {
  if (recording) return;
  $("prompt").value = prompt;
  $("error").textContent = "";
  plainSentence();
  $("record").focus();
}

async function prompts() {
  const fetched = async (name) => (await fetch(name)).json();
  const [list, words] = await Promise.all([fetched("prompts.json"), fetched("phones.json")]);
  examples = words;
  $("prompts").replaceChildren(...list.map((prompt) => element("option", {}, prompt)));
  const next = (step) => {
    $("prompts").selectedIndex = ($("prompts").selectedIndex + step) % list.length;
    $("prompt").value = $("prompts").value;
    plainSentence();
  };
  $("prompts").onchange = () => next(0);
  $("another").onclick = () => next(1);
  // What was typed while they were loading stays.
  if (!$("prompt").value) next(0);
}

$("record").onclick = toggle;
$("again").onclick = start;
$("prompt").oninput = plainSentence;
$("setup").onsubmit = (event) => {
  event.preventDefault();
  if (!recording) start();
};
$("play-all").onclick = () => play(0, Infinity, $("play-all"));
$("forget").onclick = () => {
  localStorage.removeItem(HISTORY);
  showHistory();
  $("prompt").focus();
};
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat) {
    event.preventDefault();
    toggle();
  } else if (event.key === "Escape" && recording) {
    stop();
  }
});
prompts().catch(() => ($("error").textContent = "The server cannot be reached. Is it still running?"));
showHistory();
