/**
 * Datadog access tokens from the program that DD_CREDENTIAL_HELPER names.
 *
 * One file without dependencies, for Node.js 18 or later; its types are in the comments, where
 * TypeScript reads them. It implements the contract for callers in dd-oauth's protocol.md.
 *
 *     const client = new Client();
 *     const response = await client.call((credential) =>
 *         fetch(`${credential.apiUrl}/api/v2/current_user`, {
 *             headers: { Authorization: `Bearer ${credential.accessToken}` },
 *         }),
 *     );
 */
import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import path from "node:path";

/** Longest answer that is read, in bytes: several times what the longest token takes. */
const ANSWER_LIMIT = 64 * 1024;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const LINE = /^([a-z_]+)=([^\u0000-\u0008\u000a-\u001f\u007f-\u009f]*)$/;
const RULES = {
    access_token: /^[!-~]{1,16384}$/,
    token_type: /^Bearer$/,
    site: /^.+$/,
    // The token is sent there: in the clear to this machine alone.
    api_url: /^(https:\/\/|http:\/\/127\.0\.0\.1:).+$/,
};

/**
 * Why no token can be had. `missing`: there is no helper, or it cannot be started. `login`: a
 * person has to log in first; the helper's standard error named the command. `temporary`: it may be
 * tried again, with growing pauses. `failed`: the same call would fail again.
 */
export class CredentialError extends Error {
    /** @param {"missing" | "login" | "temporary" | "failed"} kind @param {string} message */
    constructor(kind, message) {
        super(message);
        this.name = "CredentialError";
        this.kind = kind;
    }
}

/** An answer of the helper. The token is meant for the origin of `apiUrl` alone. */
export class Credential {
    #accessToken;
    /** @param {Map<string, string>} values */
    constructor(values) {
        this.#accessToken = values.get("access_token") ?? "";
        /** In seconds of Unix time; `undefined` where nobody knows it. */
        this.expiresAt = values.has("expires_at") ? Number(values.get("expires_at")) : undefined;
        this.site = values.get("site") ?? "";
        this.apiUrl = values.get("api_url") ?? "";
        this.org = values.get("org");
    }
    /** No property, so that what prints a credential does not show it. */
    get accessToken() {
        return this.#accessToken;
    }
}

/** Gets the tokens of one site and organization. */
export class Client {
    /** @type {Credential | undefined} */
    #kept;
    /** The helper is asked by one at a time. @type {Promise<unknown>} */
    #queue = Promise.resolve();
    #names;
    #interactive;
    #margin;

    /**
     * `interactive: false` says that nobody is there to log in. A token is asked for again `margin`
     * seconds before it expires. `deadline`, in seconds, may only be longer than the helper's own.
     *
     * @param {{ site?: string, org?: string, interactive?: boolean, margin?: number,
     *     deadline?: number }} [options]
     */
    constructor({ site, org, interactive = true, margin = 60, deadline } = {}) {
        this.#names = Object.entries({ site, org })
            .filter(([, value]) => value !== undefined)
            .map(([key, value]) => `${key}=${value}`);
        this.#interactive = interactive;
        this.#margin = margin;
        this.deadline = deadline ?? (interactive ? 7 * 60 : 90);
    }

    /**
     * Lets `send` make a request; after a 401, once more with another token, where there is one.
     *
     * @template {{ status: number }} Response
     * @param {(credential: Credential) => Promise<Response>} send
     * @returns {Promise<Response>}
     */
    async call(send) {
        const credential = await this.get();
        const response = await send(credential);
        const another = response.status === 401 ? await this.renew(credential) : undefined;
        return another === undefined ? response : send(another);
    }

    /**
     * A credential that is good now. Throws {@link CredentialError}.
     *
     * @returns {Promise<Credential>}
     */
    get() {
        return this.#alone(() => this.#get());
    }

    /**
     * Another credential after the API answered 401 to this one; `undefined` where the helper has
     * no other, so that the 401 stands. Throws {@link CredentialError}.
     *
     * @param {Credential} rejected
     * @returns {Promise<Credential | undefined>}
     */
    renew(rejected) {
        return this.#alone(async () => {
            // Another request may have been here with the same token.
            if (this.#kept === undefined || this.#kept.accessToken === rejected.accessToken) {
                this.#kept = undefined;
                const org = rejected.org === undefined ? [] : [`org=${rejected.org}`];
                const token = `access_token=${rejected.accessToken}`;
                await this.#ask(["erase", `site=${rejected.site}`, ...org, token]);
            }
            const credential = await this.#get();
            return credential.accessToken === rejected.accessToken ? undefined : credential;
        });
    }

    /**
     * Does something after all that was asked before.
     *
     * @template Result
     * @param {() => Promise<Result>} work
     * @returns {Promise<Result>}
     */
    #alone(work) {
        const result = this.#queue.then(work);
        this.#queue = result.catch(() => {});
        return result;
    }

    async #get() {
        const again = (this.#kept?.expiresAt ?? 0) - this.#margin;
        if (this.#kept === undefined || Date.now() / 1000 >= again) {
            this.#kept = undefined;
            this.#kept = parse(await this.#ask(["get", ...this.#names]));
        }
        return this.#kept;
    }

    /**
     * Runs the helper with a request, and returns what it wrote.
     *
     * @param {string[]} lines
     * @returns {Promise<Buffer>}
     */
    async #ask(lines) {
        if (lines.some((line) => CONTROL.test(line))) {
            throw new CredentialError("failed", "site and org must have no control characters");
        }
        const [program, ...words] = command();
        const never = this.#interactive ? {} : { DD_OAUTH_INTERACTIVE: "never" };
        return new Promise((resolve, reject) => {
            // It stays in our process group: only in the foreground it asks for a login.
            const helper = spawn(program, words, {
                env: { ...process.env, ...never },
                stdio: ["pipe", "pipe", "inherit"],
            });
            /** @type {Buffer[]} */
            const answer = [];
            let length = 0;
            /** Ends it, and drops the pipes, which another process may hold for longer. */
            const give_up = (/** @type {"temporary" | "failed"} */ kind, /** @type {string} */ why) => {
                helper.kill("SIGKILL");
                helper.stdin.destroy();
                helper.stdout.destroy();
                helper.unref();
                clearTimeout(timer);
                reject(new CredentialError(kind, `${program} ${why}`));
            };
            const timer = setTimeout(
                () => give_up("temporary", `did not end within ${this.deadline} s`),
                this.deadline * 1000,
            );
            helper.on("error", (error) => {
                clearTimeout(timer);
                reject(new CredentialError("missing", `cannot start ${program}: ${error.message}`));
            });
            // A helper that fails at once reads nothing.
            helper.stdin.on("error", () => {});
            helper.stdin.end(lines.map((line) => `${line}\n`).join(""));
            helper.stdout.on("data", (bytes) => {
                answer.push(bytes);
                length += bytes.length;
                if (length > ANSWER_LIMIT) {
                    give_up("failed", "gave an answer that is too long");
                }
            });
            helper.on("close", (code, signal) => {
                clearTimeout(timer);
                const kind = code === 3 ? "login" : code === 4 ? "temporary" : "failed";
                if (code === 0) {
                    resolve(Buffer.concat(answer));
                } else {
                    const why = `failed with exit code ${code ?? signal}`;
                    reject(new CredentialError(kind, `${program} ${why}`));
                }
            });
        });
    }
}

/** The helper and its arguments: words between blanks, with no shell and no quoting. */
function command() {
    const words = (process.env.DD_CREDENTIAL_HELPER ?? "").split(/[ \t]+/).filter(Boolean);
    if (words.length === 0) {
        throw new CredentialError("missing", "DD_CREDENTIAL_HELPER is not set");
    }
    if (path.isAbsolute(words[0])) {
        return words;
    }
    if (path.basename(words[0]) === words[0]) {
        // Nothing is run from the working directory, which may be anybody's.
        const directories = (process.env.PATH ?? "").split(path.delimiter).filter(path.isAbsolute);
        const exe = process.platform === "win32" && !/\.exe$/i.test(words[0]) ? ".exe" : "";
        for (const directory of directories) {
            const program = path.join(directory, words[0] + exe);
            if (executable(program)) {
                return [program, ...words.slice(1)];
            }
        }
    }
    const why = `${words[0]} of DD_CREDENTIAL_HELPER is neither an absolute path nor in PATH`;
    throw new CredentialError("missing", why);
}

/** @param {string} program */
function executable(program) {
    try {
        accessSync(program, constants.X_OK);
        return statSync(program).isFile();
    } catch {
        return false;
    }
}

/** @param {Buffer} answer */
function parse(answer) {
    // Says nothing of what stands in it: it may be a token.
    const bad = new CredentialError("failed", "the answer of the helper is not one of its protocol");
    /** @type {Map<string, string>} */
    const values = new Map();
    let text;
    try {
        text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(answer);
    } catch {
        throw bad;
    }
    const lines = text.split("\n");
    const rest = lines.pop();
    for (const line of lines) {
        const [, key, value] = LINE.exec(line) ?? [];
        if (key === undefined || values.has(key)) {
            throw bad;
        }
        values.set(key, value);
    }
    const expires = values.get("expires_at") ?? "1";
    if (rest || !/^[1-9][0-9]{0,14}$/.test(expires)) {
        throw bad;
    }
    if (Object.entries(RULES).some(([key, rule]) => !rule.test(values.get(key) ?? ""))) {
        throw bad;
    }
    return new Credential(values);
}
