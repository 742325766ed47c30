const darkScheme = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", darkScheme.matches);
darkScheme.addEventListener("change", followScheme);
followScheme();

// A global of swagger-ui.js, which is no module.
globalThis.SwaggerUIBundle({
  url: "openapi.json", // relative, like every URL of the page: the service may be below a path
  dom_id: "#calls",
  deepLinking: true,
  validatorUrl: null, // the default would send the document to another company's service
});
