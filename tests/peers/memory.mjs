// Where the judge's provider keeps its clients, sessions, grants and tokens.
//
// oidc-provider has an in-memory adapter of its own, but that one forgets the oldest of a thousand
// entries, and nothing outside can ask it which family a token belongs to.

export class Memory {
  #models = new Map();

  // Every code and token ever issued, with the id of its grant: so the log can still name the family
  // of a token that was revoked long ago.
  families = new Map();

  // The factory that oidc-provider calls, once for each kind of entry.
  adapter = (model) => new Adapter(this.#model(model), this.families);

  #model(name) {
    if (!this.#models.has(name)) this.#models.set(name, new Map());
    return this.#models.get(name);
  }
}

// Nothing is thrown out when it expires: oidc-provider looks at `exp` in what it finds.
class Adapter {
  constructor(entries, families) {
    this.entries = entries;
    this.families = families;
  }

  async upsert(id, payload) {
    this.entries.set(id, payload);
    if (payload.grantId) this.families.set(id, payload.grantId);
  }

  async find(id) {
    return this.entries.get(id);
  }

  async findByUid(uid) {
    return [...this.entries.values()].find((payload) => payload.uid === uid);
  }

  async consume(id) {
    this.entries.get(id).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.entries.delete(id);
  }

  async revokeByGrantId(grantId) {
    for (const [id, payload] of this.entries) {
      if (payload.grantId === grantId) this.entries.delete(id);
    }
  }
}
