// The published TypeScript client, as a worker or to do one thing.
// Arguments: the URL of the server, a group, the lease in milliseconds; then nothing to work for the group until it
// is killed, or a command and a JSON array of its arguments, to tell the outcome and end.

import { Resonate } from "@resonatehq/sdk";

// All that the client needs of Node 22.
Promise.withResolvers ??= function withResolvers() {
  let resolve, reject;
  const promise = new Promise((...both) => ([resolve, reject] = both));
  return { promise, resolve, reject };
};

const [url, group, lease, command, given] = process.argv.slice(2);
const resonate = new Resonate({ url, group, ttl: Number(lease) });
const say = (line) => console.log(line);
const base64 = (text) => Buffer.from(text).toString("base64");
const at = (target) => resonate.options({ target });

// --- Functions. Generators are tried once, plain functions until they succeed -----------------------------------

const functions = {
  echo(_, value) {
    return value;
  },

  pid() {
    return process.pid;
  },

  tell(_, what) {
    say(`told ${what}`);
  },

  *fail(_, value) {
    throw value;
  },

  *complain(_, message) {
    throw new RangeError(message);
  },

  *relay(context, target, func, args) {
    return yield* context.rpc(func, ...args, at(target));
  },

  *gather(context, calls) {
    const futures = [];
    for (const [target, func, args] of calls) {
      futures.push(yield* context.beginRpc(func, ...args, at(target)));
    }
    const outcomes = [];
    for (const future of futures) {
      try {
        outcomes.push(succeeded(yield* future));
      } catch (error) {
        outcomes.push(failed(error));
      }
    }
    return outcomes;
  },

  *handOver(context, target, func, args) {
    yield* context.detached(func, ...args, at(target));
    return "handed over";
  },

  *factorial(context, target, n) {
    return n < 2 ? 1 : n * (yield* context.rpc("factorial", target, n - 1, at(target)));
  },

  *nap(context, seconds) {
    yield* context.sleep(seconds * 1000);
    return "rested";
  },

  *wonder(context) {
    const answer = yield* context.promise();
    say(`wonders ${answer.id}`);
    return yield* answer;
  },

  async hold(_, gate) {
    say("holds");
    return await (await resonate.get(gate)).result();
  },
};

for (const [name, func] of Object.entries(functions)) {
  resonate.register(name, func);
}

// --- Commands ---------------------------------------------------------------------------------------------------

const commands = {
  run: (id, func, args) => resonate.run(id, func, ...args),
  rpc: (id, target, func, args) => resonate.rpc(id, func, ...args, at(target)),
  resolve: (id, value) => resonate.promises.resolve(id, { data: base64(JSON.stringify(value)) }).then(() => null),
  schedule: (id, cron, target, func, args) =>
    resonate.schedule(id, cron, func, ...args, at(target)).then(() => null),
  unschedule: (id) => resonate.schedules.delete(id),
};

// `undefined` is how this client reads the null of others.
function succeeded(value) {
  return { value: value ?? null };
}

function failed(error) {
  if (error instanceof AggregateError) {
    return { error: [error.name, error.message], members: error.errors.map(failed) };
  }
  return { error: error instanceof Error ? [error.name, error.message] : ["thrown", error ?? null] };
}

if (command !== undefined) {
  const outcome = await commands[command](...JSON.parse(given)).then(succeeded, failed);
  say(`outcome ${JSON.stringify(outcome)}`);
  await resonate.stop();
  process.exit();
}
