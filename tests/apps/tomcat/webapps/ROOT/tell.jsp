<%@ page contentType="application/json;charset=UTF-8" trimDirectiveWhitespaces="true" session="false" import="java.util.*" %><%!
    String quoted(String s) { return s == null ? "null" : "\"" + s.replace("\\", "\\\\").replace("\"", "\\\"") + "\""; }
%><%
    String uri = request.getRequestURI();
    if (uri.endsWith("/go")) { response.sendRedirect("/elsewhere"); return; }
    if (uri.endsWith("/fail")) { response.setStatus(500); out.print("{\"error\": \"on purpose\"}"); return; }
    long length = 0;
    byte[] part = new byte[65536];
    for (int n; (n = request.getInputStream().read(part)) > 0; ) length += n;
    out.print("{\"method\": " + quoted(request.getMethod()) + ", \"uri\": " + quoted(uri) + ", \"query\": " + quoted(request.getQueryString()));
    out.print(", \"host\": " + quoted(request.getServerName()) + ", \"scheme\": " + quoted(request.getScheme()) + ", \"address\": "
        + quoted(request.getRemoteAddr()) + ", \"length\": " + length + ", \"headers\": [");
    String comma = "";
    for (String name : new TreeSet<String>(Collections.list(request.getHeaderNames()))) {
        out.print(comma + "[" + quoted(name) + ", " + quoted(String.join(", ", Collections.list(request.getHeaders(name)))) + "]");
        comma = ", ";
    }
    out.print("]}");
%>
