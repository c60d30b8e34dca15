// A token behind the # of the address never travels in a URL: it is taken from there into the form.
"use strict";

const token = location.hash.slice(1);
if (token) {
  history.replaceState(null, "", location.pathname);
  document.getElementById("token").value = token;
  document.getElementById("login").requestSubmit();
}
