// Sends what a form of the page says, with fetch, to where the page is from.
const token = document.getElementById("token");

function read(form) {
  const query = new URLSearchParams();
  const headers = token.value ? { Authorization: `Bearer ${token.value}` } : {};
  let path = form.dataset.path;
  for (const { name, value, dataset } of form.querySelectorAll("input")) {
    if (dataset.in === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value && dataset.in === "query") query.set(name, value);
    else if (value && dataset.in === "header") headers[name] = value;
  }
  const body = form.querySelector("textarea")?.value;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return [path + (query.size ? `?${query}` : ""), { method: form.dataset.method, headers, body }];
}

async function show(output, answer) {
  const head = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  output.textContent = `${answer.status} ${answer.statusText}\n${head}\n\n`;
  if (answer.headers.get("content-type")?.startsWith("text/event-stream")) {
    // It does not end: shown as it comes.
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) output.append(part.value);
    return;
  }
  const text = await answer.text();
  try {
    output.append(JSON.stringify(JSON.parse(text), null, 2));
  } catch {
    output.append(text);
  }
}

// Where a link leads to what is folded, it is unfolded.
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

addEventListener("hashchange", unfold);
unfold();

for (const form of document.querySelectorAll("form")) {
  const key = form.querySelector('[name="Idempotency-Key"]');
  if (key) key.value = crypto.randomUUID();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const output = form.querySelector("output");
    output.textContent = "…";
    try {
      await show(output, await fetch(...read(form)));
    } catch (error) {
      output.textContent = String(error);
    }
  });
}
