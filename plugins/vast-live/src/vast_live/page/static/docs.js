// Shows openapi.json.
"use strict";

const make = (name, text = "", ...inside) => {
  const made = document.createElement(name);
  made.textContent = text;
  made.append(...inside);
  return made;
};

async function show() {
  const {info, paths} = await (await fetch("openapi.json")).json();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, what] of Object.entries(methods)) {
      const part = make("section", "", make("h2", `${method.toUpperCase()} ${path}`), make("p", what.summary));
      const schema = Object.values(what.requestBody?.content ?? {})[0]?.schema;
      if (schema) {
        const table = make("table", "", make("tr", "", make("th", "field"), make("th", "meaning")));
        for (const [name, field] of Object.entries(schema.properties)) {
          table.append(make("tr", "", make("td", "", make("code", name)), make("td", field.description ?? "A file.")));
        }
        part.append(make("p", "Multipart form:"), table);
      }
      for (const [code, answer] of Object.entries(what.responses)) part.append(make("p", `${code}: ${answer.description}`));
      document.getElementById("paths").append(part);
    }
  }
  for (const words of info.description.split("\n\n")) document.getElementById("live").append(make("p", words.replaceAll("`", "")));
}

show();
