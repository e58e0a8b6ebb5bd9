// Does with the client what each line of standard input says: driver.mjs CLIENT [OPTION=VALUE]...
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";

const [file, ...options] = process.argv.slice(2);
const { Client, Credential, CredentialError } = await import(pathToFileURL(file));

const named = Object.fromEntries(options.map((option) => option.split(/=(.*)/s)));
const number = (text) => (text === undefined ? undefined : Number(text));
const client = new Client({
    ...named,
    interactive: named.interactive !== "no",
    margin: number(named.margin),
    deadline: number(named.deadline),
});
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const tell = (...fields) => console.log(fields.join("\t"));

async function attempt(work) {
    try {
        const result = await work();
        if (result === undefined) {
            tell("same");
        } else if (result instanceof Credential) {
            const shown = inspect(result, { showHidden: true }) + JSON.stringify(result);
            if (shown.includes(result.accessToken)) {
                throw new Error("a credential shows its token");
            }
            const { accessToken, expiresAt = "", site, apiUrl, org = "" } = result;
            tell("credential", accessToken, expiresAt ?? "", site, apiUrl, org);
        } else {
            tell("status", result.status);
        }
    } catch (error) {
        if (!(error instanceof CredentialError)) {
            throw error;
        }
        tell("error", error.kind);
    }
}

async function send(credential) {
    tell("send", credential.accessToken);
    return { status: Number((await lines.next()).value) };
}

const together = (count, work) =>
    Promise.all(Array.from({ length: Number(count) }, () => attempt(work)));

for (let line = await lines.next(); !line.done; line = await lines.next()) {
    const [command, count] = line.value.split(" ");
    if (command === "get") {
        await attempt(() => client.get());
    } else if (command === "together") {
        await together(count, () => client.get());
    } else if (command === "renew") {
        const rejected = await client.get();
        await together(count, () => client.renew(rejected));
    } else if (command === "call") {
        await attempt(() => client.call(send));
    } else if (command === "deadline") {
        tell("deadline", client.deadline);
    }
}
