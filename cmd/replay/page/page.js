"use strict";

const $ = (id) => document.getElementById(id);
const count = (n) => n.toLocaleString("en");
const counts = (n, what) => `${count(n)} ${what}${n === 1 ? "" : "s"}`;
const publicID = (partition, offset) => `${partition}-${offset}`;
const moment = (ms) => {
	const at = new Date(ms);
	return isNaN(at) ? String(ms) : at.toISOString().replace("T", " ").replace("Z", " UTC");
};

// make makes an element; what is in it is text, never markup.
function make(name, of = {}, ...within) {
	const element = document.createElement(name);
	for (const [key, value] of Object.entries(of)) element.setAttribute(key, value);
	element.append(...within);
	return element;
}

// The program, unpacked once: base64 of gzip.
const program = (async () => {
	const packed = Uint8Array.from(atob($("program").textContent.trim()), (c) => c.charCodeAt(0));
	const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
	return new Response(unpacked).arrayBuffer();
})();
const workerSource = URL.createObjectURL(new Blob([$("worker-source").textContent], { type: "text/javascript" }));

// Replayer is the worker that has one export. Each question is a promise.
class Replayer {
	constructor(onRead) {
		this.waiting = new Map();
		this.next = 0;
		this.ended = false;
		this.worker = new Worker(workerSource);
		this.worker.onmessage = ({ data }) => {
			if (data.read !== undefined) { onRead(data.read); return; }
			const { resolve, reject } = this.waiting.get(data.id);
			this.waiting.delete(data.id);
			if (data.error !== undefined) reject(new Error(data.error)); else resolve(data.result);
		};
		this.worker.onerror = (event) => {
			for (const { reject } of this.waiting.values()) reject(new Error(event.message || "the program has ended"));
			this.waiting.clear();
		};
		program.then((bytes) => this.worker.postMessage({ program: bytes }), (thrown) => this.worker.onerror({ message: thrown.message }));
	}

	async ask(question) {
		await program; // is sent first
		if (this.ended) throw new Error("it was closed");
		return new Promise((resolve, reject) => {
			const id = this.next++;
			this.waiting.set(id, { resolve, reject });
			this.worker.postMessage({ id, ...question });
		});
	}

	// end answers nothing any more.
	end() {
		this.ended = true;
		this.worker.terminate();
		this.worker.onerror({ message: "it was closed" });
	}
}

let replayer = null; // of the export that is open
let report = null;
let courses = [];
let shown = null; // the moment that is shown

async function open(file) {
	close();
	const bytes = Math.max(1, file.size);
	const began = performance.now();
	const of = replayer = new Replayer((read) => {
		if (of !== replayer) return;
		$("bar").value = read / bytes;
		const left = (performance.now() - began) / 1000 * (bytes / read - 1);
		$("progress-text").textContent = `Deciding ${file.name} again: ${Math.floor(100 * read / bytes)} %` + (left > 1 ? `, ${Math.ceil(left)} s left` : "");
	});
	$("progress").hidden = false;
	$("progress-text").textContent = `Opening ${file.name}`;
	$("bar").value = 0;
	try {
		const answer = await of.ask({ ask: "check", file });
		if (of !== replayer) return;
		report = answer;
		showVerdict(file.name, (performance.now() - began) / 1000);
		showPartitions();
		await showTime();
	} catch (thrown) {
		if (of === replayer) showFailure(file.name, thrown);
	} finally {
		if (of === replayer) $("progress").hidden = true;
	}
}

// close forgets the export that is open, and what is still being done with it.
function close() {
	if (replayer) replayer.end();
	replayer = report = shown = null;
	courses = [];
	wanted = null;
	delete $("time").dataset.offset;
	for (const id of ["progress", "verdict", "partitions", "time"]) $(id).hidden = true;
	document.body.classList.remove("opened");
}

function showVerdict(name, seconds) {
	const d = report.first_difference;
	const verdict = $("verdict");
	verdict.className = report.equal ? "good" : "bad";
	verdict.dataset.equal = report.equal;
	verdict.replaceChildren();
	if (report.equal) {
		verdict.append(
			make("h2", {}, "✓ Equal: every decision is as it must be"),
			make("p", {}, `${counts(report.records, "record")} of ${name} decided again, ${counts(report.decisions, "decision")} compared, with counts, marks and digests, in ${seconds.toFixed(1)} s.`));
	} else {
		const where = d.partition < 0 ? "the file as a whole" : `partition ${d.partition}, offset ${count(d.offset)}`;
		verdict.dataset.partition = d.partition;
		verdict.dataset.offset = d.offset;
		verdict.append(
			make("h2", {}, `✗ Different: ${where}`),
			make("p", {}, `${name} departs there for the first time, in its line ${count(d.line)}. ${counts(report.records, "record")} could be decided again.`),
			make("dl", {}, ...[["What", d.what], ["Expected", d.expected], ["Found", d.found]].flatMap(([k, v]) => [make("dt", {}, k), make("dd", {}, v)])));
	}
	verdict.append(make("p", { class: "note" }, `Exported by anteroom ${report.program} from the log ${report.log}.`));
	document.body.classList.add("opened");
	verdict.hidden = false;
}

function showFailure(name, thrown) {
	const verdict = $("verdict");
	verdict.className = "bad";
	verdict.dataset.equal = "unknown";
	verdict.replaceChildren(make("h2", {}, `${name} cannot be replayed`), make("p", {}, thrown.message));
	verdict.hidden = false;
}

function showPartitions() {
	$("partition-rows").replaceChildren(...(report.partitions || []).map((p) => {
		const d = p.first_difference;
		return make("tr", {},
			make("td", {}, String(p.partition)),
			make("td", {}, `${count(p.from)} to ${count(p.next)}` + (p.next < p.to ? ` of ${count(p.to)}` : "")),
			make("td", { class: "number" }, count(p.records)),
			make("td", { class: "number" }, count(p.decisions)),
			make("td", {}, make("span", { class: "digest" }, p.record_digest)),
			make("td", {}, make("span", { class: "digest" }, p.decision_digest)),
			make("td", { class: d ? "bad-text" : "good-text" }, d ? `different at offset ${count(d.offset)}` : "equal"));
	}));
	$("partitions").hidden = false;
}

// Through time.

const current = () => report.partitions.find((p) => p.partition === Number($("partition").value));

async function showTime() {
	const decided = (report.partitions || []).filter((p) => p.records > 0);
	if (decided.length === 0) return;
	$("partition").replaceChildren(...decided.map((p) => make("option", { value: p.partition }, String(p.partition))));
	$("partition-choice").hidden = decided.length === 1;
	const d = report.first_difference;
	if (d && decided.some((p) => p.partition === d.partition)) $("partition").value = d.partition;
	await showPartition();
}

async function showPartition() {
	const p = current();
	for (const id of ["slider", "offset"]) {
		$(id).min = p.from;
		$(id).max = p.next - 1;
	}
	const of = replayer;
	const answer = await of.ask({ ask: "courses", partition: p.partition });
	if (of !== replayer) return;
	courses = answer || [];
	$("sale").replaceChildren(...courses.map((c, i) => make("option", { value: i }, `${c.product} (${publicID(p.partition, c.sale)})`)));
	const units = (c) => bands.reduce((sum, [band]) => sum + c.points.at(-1)[band], 0);
	const largest = courses.reduce((best, c, i) => units(c) > units(courses[best]) ? i : best, 0);
	$("sale").value = courses.length ? largest : "";
	$("to-difference").hidden = !p.first_difference;
	drawChart();
	goTo(p.first_difference ? Math.min(p.first_difference.offset, p.next - 1) : p.next - 1);
}

// goTo asks for a moment. While one is under way only the latest wish is kept.
let wanted = null;
let asking = false;

async function goTo(offset) {
	const p = current();
	wanted = { partition: p.partition, offset: Math.max(p.from, Math.min(p.next - 1, offset)) };
	$("slider").value = $("offset").value = wanted.offset;
	if (asking) return;
	asking = true;
	while (wanted) {
		const question = wanted, of = replayer;
		wanted = null;
		try {
			const answer = await of.ask({ ask: "at", ...question });
			if (of === replayer) { shown = answer; showMoment(); }
		} catch (thrown) {
			if (of === replayer) showFailure("This moment", thrown);
		}
	}
	asking = false;
}

const maxSales = 100;

function showMoment() {
	const m = shown;
	const p = current();
	if (m.partition !== p.partition) return;
	$("time").hidden = false;
	$("time").dataset.offset = m.offset;
	$("clock").textContent = moment(m.time);
	$("slider").setAttribute("aria-valuetext", `offset ${m.offset}, ${moment(m.time)}`);
	for (const id of ["first", "back"]) $(id).disabled = m.offset <= p.from;
	for (const id of ["forward", "last"]) $(id).disabled = m.offset >= p.next - 1;

	const sales = (m.sales || []).toSorted((a, b) => b.revision - a.revision);
	const onChart = courses[$("sale").value];
	$("sale-rows").replaceChildren(...sales.slice(0, maxSales).map((s) => make("tr", onChart && onChart.sale === s.sale ? { class: "shown" } : {},
		make("td", {}, s.product), make("td", {}, publicID(m.partition, s.sale)), make("td", {}, s.stage),
		...[s.quantity, s.available, s.reserved, s.held, s.confirmed, s.waitlisted || 0, s.sold_out].map((n) => make("td", { class: "number" }, count(n))))));
	$("more-sales").hidden = sales.length <= maxSales;
	$("more-sales").textContent = `${count(sales.length - maxSales)} more sales, which changed longer ago, are not shown.`;

	const fields = [["Offset", count(m.offset)], ["Type", m.type], ["Time", moment(m.at)], ["Key", m.key], ["Value", m.value]];
	$("record").replaceChildren(...fields.flatMap(([k, v]) => [make("dt", {}, k), make("dd", {}, v || "—")]));

	const last = (m.decisions || []).toReversed();
	$("decisions").replaceChildren(...last.map((d) => make("li", d.cause === m.offset ? { class: "now" } : {},
		d.text, make("small", {}, `offset ${count(d.cause)}, ${moment(d.time)}`))));
	if (last.length === 0) $("decisions").append(make("li", {}, "Nothing has been decided yet."));
	showCursor();
	showLegend();
}

// The chart: units of one sale, stacked, by log time.

const bands = [["confirmed", "Confirmed"], ["held", "Held"], ["reserved", "Reserved"], ["available", "Available"]];
const chart = { width: 1100, height: 260, left: 48, right: 12, top: 10, bottom: 24, waits: 70 };
let scale = null;

function svg(name, of, ...within) {
	const element = document.createElementNS("http://www.w3.org/2000/svg", name);
	for (const [key, value] of Object.entries(of)) element.setAttribute(key, value);
	element.append(...within);
	return element;
}

function drawChart() {
	const course = courses[$("sale").value];
	$("chart").replaceChildren();
	scale = null;
	if (!course) return;
	const points = course.points;
	const from = points[0].time, to = Math.max(points.at(-1).time, from + 1);
	const total = (p) => bands.reduce((sum, [band]) => sum + p[band], 0);
	const most = Math.max(1, ...points.map(total));
	const mostWait = Math.max(...points.map((p) => p.waitlisted));
	const { width, height, left, right, top, bottom } = chart;
	const x = (time) => left + (Math.min(Math.max(time, from), to) - from) / (to - from) * (width - left - right);
	const y = (units) => height - bottom - units / most * (height - top - bottom);
	const all = height + (mostWait > 0 ? chart.waits : 0);
	const picture = svg("svg", { viewBox: `0 0 ${width} ${all}`, role: "img", "aria-label": `Units of ${course.product} from ${moment(from)} to ${moment(to)}: the numbers at each offset are in the table of sales` });

	// Each band is a staircase from the sum below it to its own.
	const below = points.map(() => 0);
	for (const [band] of bands) {
		const lower = [], upper = [];
		points.forEach((p, i) => {
			const next = i + 1 < points.length ? points[i + 1].time : to;
			const base = below[i];
			below[i] += p[band];
			for (const time of [p.time, next]) {
				lower.push(`${x(time).toFixed(1)},${y(base).toFixed(1)}`);
				upper.push(`${x(time).toFixed(1)},${y(below[i]).toFixed(1)}`);
			}
		});
		picture.append(svg("polygon", { points: upper.concat(lower.reverse()).join(" "), fill: `var(--${band})` }));
	}
	for (const units of [0, most]) {
		picture.append(svg("line", { class: "axis", x1: left, x2: width - right, y1: y(units), y2: y(units) }),
			svg("text", { x: left - 8, y: y(units) + 4, "text-anchor": "end" }, count(units)));
	}
	for (const [time, anchor] of [[from, "start"], [to, "end"]]) {
		picture.append(svg("text", { x: x(time), y: height - 6, "text-anchor": anchor }, moment(time)));
	}
	if (mostWait > 0) {
		const wait = (n) => all - 6 - n / mostWait * (chart.waits - 22);
		const path = points.map((p, i) => `${i ? "H" : "M"}${x(p.time).toFixed(1)}${i ? "V" : ","}${wait(p.waitlisted).toFixed(1)}`).join("");
		picture.append(svg("path", { class: "waitlist", d: path + `H${x(to)}` }),
			svg("text", { x: left - 8, y: wait(mostWait) + 4, "text-anchor": "end" }, count(mostWait)),
			svg("text", { x: left - 8, y: wait(0) + 4, "text-anchor": "end" }, "0"));
	}
	const cursor = svg("line", { class: "cursor", x1: 0, x2: 0, y1: top - 4, y2: all - 4, visibility: "hidden" });
	picture.append(cursor);
	picture.addEventListener("click", (event) => {
		const box = picture.getBoundingClientRect();
		const at = (event.clientX - box.left) / box.width * width;
		const after = points.findLast((p) => x(p.time) <= at) || points[0];
		goTo(after.offset);
	});
	$("chart").append(picture);
	scale = { x, cursor };
	showLegend();
}

function showCursor() {
	if (!scale || !shown) return;
	for (const end of ["x1", "x2"]) scale.cursor.setAttribute(end, scale.x(shown.time));
	scale.cursor.setAttribute("visibility", "visible");
}

function showLegend() {
	const course = courses[$("sale").value];
	const sale = course && shown && (shown.sales || []).find((s) => s.sale === course.sale);
	$("legend").replaceChildren(...(course ? [...bands, ["waitlisted", "Waitlisted (requests)"]] : []).map(([band, name]) =>
		make("span", {}, make("i", { style: `background: var(--${band})` }), `${name} `, make("b", {}, sale ? count(sale[band] || 0) : "–"))));
}

// What people do.

$("file").addEventListener("change", () => {
	if ($("file").files.length) open($("file").files[0]);
	$("file").value = ""; // so that the same file can be chosen again
});
document.addEventListener("dragover", (event) => {
	event.preventDefault();
	$("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
	if (!event.relatedTarget) $("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
	event.preventDefault();
	$("drop").classList.remove("over");
	if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
});
$("cancel").addEventListener("click", close);
$("partition").addEventListener("change", () => {
	const of = replayer;
	showPartition().catch((thrown) => { if (of === replayer) showFailure("This partition", thrown); });
});
$("sale").addEventListener("change", () => { drawChart(); if (shown) showMoment(); });
$("slider").addEventListener("input", () => goTo(Number($("slider").value)));
$("offset").addEventListener("change", () => goTo(Number($("offset").value)));
$("first").addEventListener("click", () => goTo(current().from));
$("back").addEventListener("click", () => goTo(Number($("slider").value) - 1));
$("forward").addEventListener("click", () => goTo(Number($("slider").value) + 1));
$("last").addEventListener("click", () => goTo(current().next - 1));
$("to-difference").addEventListener("click", () => goTo(current().first_difference.offset));
