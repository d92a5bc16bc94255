"""The texts of all pages: the login site's and the local ones. Pure.

Source: Lingma local protocol, section 6: they have what the vendor's pages are told to have (a form
in a frame with the ids `fm-login-id` and `fm-login-password`) or may have (a slider, a code by SMS,
a QR code, a consent).
"""

from collections.abc import Iterable
from html import escape
from urllib.parse import urlencode

SMS_CODE = "123456"
_SLIDE = 120

# Sends the form in the background, as the frame may not navigate the page around it on its own.
_FRAME_SCRIPT = """
document.querySelector('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  const answer = await fetch(form.action + '&frame=1', {
    method: 'POST', body: new URLSearchParams(new FormData(form))});
  const said = await answer.json();
  if (said.next) { window.top.location.href = said.next; }
  else { document.getElementById('login-error').textContent = said.words; }
});
"""
_WAIT_SCRIPT = """
setInterval(async () => {
  const answer = await fetch(%POLL%);
  if ((await answer.text()) === 'go') { location.reload(); }
}, 200);
"""
_TAB_SCRIPT = """
document.querySelector('.password-login-link').addEventListener('click', () => {
  document.getElementById('qrcode').hidden = true;
  document.getElementById('password-login').hidden = false; });
"""
_SLIDER_SCRIPT = """
const knob = document.getElementById('nc_1_n1z');
let start = null;
knob.addEventListener('pointerdown', (event) => {
  start = event.clientX; knob.setPointerCapture(event.pointerId); });
knob.addEventListener('pointermove', (event) => {
  if (start !== null) { knob.style.left = Math.max(0, event.clientX - start) + 'px'; } });
knob.addEventListener('pointerup', (event) => {
  if (start !== null && event.clientX - start >= %SLIDE%) { document.forms[0].submit(); }
  start = null; knob.style.left = '0'; });
"""


def notice(title: str, text: str) -> str:
    """A page that only says something."""
    return _page(title, f"<h1>{escape(title)}</h1><p>{escape(text)}</p>")


def chooser(choices: Iterable[tuple[str, str]]) -> str:
    """The choice of an organisation: links and names."""
    items = "".join(
        f'<li><a class="organization" href="{escape(link)}">{escape(name)}</a></li>'
        for link, name in choices
    )
    return _page("Choose an organization", f"<h1>Choose an organization</h1><ul>{items}</ul>")


def form(nonce: str, error: str) -> str:
    """The form as a page of its own."""
    return _page("Sign in to Lingma", f"<h1>Sign in</h1>{_form(nonce, error)}")


def tabs(nonce: str) -> str:
    """A QR code in front; the form shows when its tab is clicked."""
    return _page(
        "Sign in to Lingma",
        f"""<h1>Sign in</h1>
<a href="#" class="password-login-link">Password login</a>
<div id="qrcode" class="qrcode-img">Scan the QR code</div>
<div id="password-login" hidden>{_form(nonce, "")}</div>
<script>{_TAB_SCRIPT}{_wait(nonce)}</script>""",
    )


def _form(nonce: str, error: str) -> str:
    return f"""<form method="post" action="{_link("signin", nonce)}">
<label for="loginId">Account</label>
<input id="loginId" name="loginId" type="text" autocomplete="username">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password">
<button type="submit">Sign in</button>
<p id="login-error" class="login-error" role="alert">{escape(error)}</p>
</form>"""


def framed(frame_url: str) -> str:
    """A page with the form in a frame of another site."""
    frame = f'<iframe id="alibaba-login-box" src="{escape(frame_url)}" width="400" height="400">'
    return _page("Sign in to Lingma", f"<h1>Sign in</h1>{frame}</iframe>")


def frame(nonce: str) -> str:
    """What is in that frame."""
    return _page(
        "Login",
        f"""<form method="post" action="{_link("signin", nonce)}">
<input id="fm-login-id" name="loginId" type="text">
<input id="fm-login-password" name="password" type="password">
<button type="submit" class="fm-button fm-submit password-login">Sign in</button>
<div id="login-error" class="login-error-msg" role="alert"></div>
</form><script>{_FRAME_SCRIPT}</script>""",
    )


def step(name: str, nonce: str, error: str) -> str:
    """The page of one step after, or instead of, the password: it goes on when that is done."""
    title, body = {
        "qr": ("Scan to sign in", '<div class="qrcode-img" id="qrcode">Scan the QR code</div>'),
        "captcha": ("Security verification", _slider(nonce)),
        "sms": ("Verification code", _code(nonce)),
        "consent": ("Authorization", _consent(nonce)),
    }[name]
    said = f'<p class="step-error" role="alert">{escape(error)}</p>'
    return _page(title, f"<h1>{title}</h1>{body}{said}<script>{_wait(nonce)}</script>")


def _wait(nonce: str) -> str:
    return _WAIT_SCRIPT.replace("%POLL%", f"'{_link('poll', nonce)}'")


def _slider(nonce: str) -> str:
    script = _SLIDER_SCRIPT.replace("%SLIDE%", str(_SLIDE))
    return f"""<p>Please slide to verify</p>
<div id="nc_1_wrapper" class="nc-container" style="width:300px;background:#ddd">
<span id="nc_1_n1z" class="nc_iconfont btn_slide"
 style="position:relative;display:inline-block;width:40px;background:#888">&gt;&gt;</span></div>
<form method="post" action="{_link("step", nonce)}">
<input type="hidden" name="captcha" value="slid"></form><script>{script}</script>"""


def _code(nonce: str) -> str:
    return f"""<p>A code was sent to your phone by SMS</p>
<form method="post" action="{_link("step", nonce)}">
<input id="fm-sms-code" name="smsCode" inputmode="numeric" autocomplete="one-time-code">
<button type="submit">Verify</button></form>"""


def _consent(nonce: str) -> str:
    return f"""<p>Lingma asks for permission to use your account</p>
<form method="post" action="{_link("step", nonce)}">
<input id="agree" name="consent" type="checkbox" value="on"><label for="agree">I agree</label>
<button id="authorize" type="submit">Authorize</button></form>"""


def _link(path: str, nonce: str) -> str:
    return f"/lingma/{path}?{urlencode({'nonce': nonce})}"


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title></head><body>{body}</body></html>\n"
    )
