import ca.uhn.hl7v2.DefaultHapiContext;
import ca.uhn.hl7v2.HapiContext;
import ca.uhn.hl7v2.app.HL7Service;
import ca.uhn.hl7v2.model.Message;
import ca.uhn.hl7v2.protocol.ReceivingApplication;
import ca.uhn.hl7v2.util.idgenerator.InMemoryIDGenerator;
import ca.uhn.hl7v2.validation.impl.ValidationContextFactory;
import java.net.ServerSocket;
import java.util.Map;

/**
 * HAPI's MLLP server doing nothing but acknowledge: a peer for {@code benchmarks/mllp.py}.
 *
 * <p>Validation is off, which is HAPI at its fastest; it parses each message all the same. Run: {@code java -cp 'libs/*'
 * HapiServer.java}; it prints {@code {"event":"listening","mllp":"127.0.0.1:PORT"}}.
 */
public final class HapiServer {
  /** Answers AA, and keeps nothing. */
  private static final class Acknowledge implements ReceivingApplication<Message> {
    @Override
    public boolean canProcess(Message message) {
      return true;
    }

    @Override
    public Message processMessage(Message message, Map<String, Object> metadata) {
      try {
        return message.generateACK();
      } catch (Exception error) {
        throw new IllegalStateException(error);
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    HapiContext context = new DefaultHapiContext();
    context.setValidationContext(ValidationContextFactory.noValidation());
    context.getParserConfiguration().setValidating(false);
    // Told nothing, HAPI keeps a counter in a file of the current folder.
    context.getParserConfiguration().setIdGenerator(new InMemoryIDGenerator());
    context.getParserConfiguration().setDefaultObx2Type("ST");
    int port;
    // HAPI wants to be told a port: ask for one that is free.
    try (ServerSocket free = new ServerSocket(0)) {
      port = free.getLocalPort();
    }
    HL7Service server = context.newServer(port, false);
    server.registerApplication(new Acknowledge());
    server.startAndWait();
    System.out.println("{\"event\":\"listening\",\"mllp\":\"127.0.0.1:" + port + "\"}");
    System.out.flush();
  }
}
