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
  const text = await answer.text();
  const head = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  let body = text;
  try {
    body = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Not JSON: shown as it came.
  }
  output.textContent = `${answer.status} ${answer.statusText}\n${head}\n\n${body}`;
}

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
