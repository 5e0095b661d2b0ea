// The viewer of the API document, with what the page says of it.
SwaggerUIBundle(JSON.parse(document.getElementById("swagger-ui").dataset.config));
