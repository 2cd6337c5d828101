package org.hooklog.bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;

/** The few fields of an event that the processor reads, taken in one streaming pass; the first of repeated names wins. */
final class Envelope {
    private static final JsonFactory JSON = new JsonFactory();

    String id;
    String type;
    String account;
    String context;
    long created = -1;
    boolean livemode;
    boolean thin;
    String relatedId;
    String objectType;
    String objectId;
    String customer;
    String paymentIntent;
    String charge;

    static Envelope read(byte[] body) throws IOException {
        Envelope envelope = new Envelope();
        try (JsonParser parser = JSON.createParser(body)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new IOException("the body is no JSON object");
            }
            envelope.readEvent(parser);
            envelope.account = envelope.thin ? first(accountIn(envelope.context), envelope.account) : envelope.account;
        }
        return envelope;
    }

    private void readEvent(JsonParser parser) throws IOException {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            JsonToken value = parser.nextToken();
            switch (name) {
                case "id" -> id = first(id, string(parser, value));
                case "object" -> thin = "v2.core.event".equals(string(parser, value));
                case "type" -> type = first(type, string(parser, value));
                case "context" -> context = first(context, string(parser, value));
                case "account" -> account = first(account, string(parser, value));
                case "created" -> created = value == JsonToken.VALUE_NUMBER_INT ? parser.getLongValue() : created;
                case "livemode" -> livemode = value == JsonToken.VALUE_TRUE;
                case "data" -> readData(parser, value);
                case "related_object" -> relatedId = first(relatedId, idOf(parser, value));
                default -> parser.skipChildren();
            }
        }
    }

    private void readData(JsonParser parser, JsonToken value) throws IOException {
        if (value != JsonToken.START_OBJECT) {
            parser.skipChildren();
            return;
        }
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            boolean wanted = parser.currentName().equals("object");
            if (parser.nextToken() == JsonToken.START_OBJECT && wanted) {
                readObject(parser);
            } else {
                parser.skipChildren();
            }
        }
    }

    private void readObject(JsonParser parser) throws IOException {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            JsonToken value = parser.nextToken();
            switch (name) {
                case "object" -> objectType = first(objectType, string(parser, value));
                case "id" -> objectId = first(objectId, string(parser, value));
                case "customer" -> customer = first(customer, idOf(parser, value));
                case "payment_intent" -> paymentIntent = first(paymentIntent, idOf(parser, value));
                case "charge" -> charge = first(charge, idOf(parser, value));
                case "payment" -> readPayment(parser, value);
                default -> parser.skipChildren();
            }
        }
    }

    /** An invoice payment names what it was paid by one level deeper. */
    private void readPayment(JsonParser parser, JsonToken value) throws IOException {
        if (value != JsonToken.START_OBJECT) {
            return;
        }
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            JsonToken inner = parser.nextToken();
            switch (name) {
                case "payment_intent" -> paymentIntent = first(paymentIntent, idOf(parser, inner));
                case "charge" -> charge = first(charge, idOf(parser, inner));
                default -> parser.skipChildren();
            }
        }
    }

    /** The last account on the path that a thin event has as its context. */
    private static String accountIn(String context) {
        String account = null;
        for (String part : context == null ? new String[0] : context.split("/")) {
            account = part.length() > 5 && part.startsWith("acct_") ? part : account;
        }
        return account;
    }

    /** A reference is an id or the expanded object that has it. */
    private static String idOf(JsonParser parser, JsonToken value) throws IOException {
        if (value != JsonToken.START_OBJECT) {
            return string(parser, value);
        }
        String id = null;
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            boolean wanted = parser.currentName().equals("id");
            JsonToken inner = parser.nextToken();
            if (wanted) {
                id = first(id, string(parser, inner));
            } else {
                parser.skipChildren();
            }
        }
        return id;
    }

    private static String string(JsonParser parser, JsonToken value) throws IOException {
        if (value == JsonToken.VALUE_STRING) {
            String text = parser.getText();
            return text.isEmpty() ? null : text;
        }
        parser.skipChildren();
        return null;
    }

    private static String first(String held, String next) {
        return held != null ? held : next;
    }
}
