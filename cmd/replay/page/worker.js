// The worker runs the program, so that the page stays alive while it does. It is
// sent the program first, then one question at a time, and answers each in its
// order with {id, result} or {id, error}, and with {read} while it reads.
"use strict";

let started;

async function start(program) {
	const go = new Go();
	const { instance } = await WebAssembly.instantiate(program, go.importObject);
	go.run(instance).then(() => { throw new Error("the program has ended"); });
}

function ask(question) {
	switch (question.ask) {
	case "check":
		return anteroom.check(question.file, (read) => postMessage({ read }));
	case "courses":
		return anteroom.courses(question.partition);
	case "at":
		return anteroom.at(question.partition, question.offset);
	}
	throw new Error("unknown question: " + question.ask);
}

onmessage = async ({ data }) => {
	if (data.program) {
		started = start(data.program);
		return;
	}
	try {
		await started;
		postMessage({ id: data.id, ...JSON.parse(ask(data)) });
	} catch (thrown) {
		postMessage({ id: data.id, error: "the program cannot go on: " + thrown.message });
	}
};
